import { KeyChains } from '../src/core/keyChains.ts';
import { isJsonType } from '../src/core/mediaType.ts';
import { retryDecision } from '../src/core/retry.ts';
import { waitsForProof, type FailedOutcome } from '../src/core/circuit.ts';
import type { OutgoingMessage, SendOutcome } from '../src/core/outcome.ts';
import { openPayload } from '../src/encryption/cipher.ts';
import { isEncrypted } from '../src/encryption/envelope.ts';
import type { KeyProvider } from '../src/encryption/keys.ts';
import { isOutboxError } from '../src/errors.ts';
import { failpoint } from '../src/failpoints.ts';
import type { DeliveryRow, FailureRow, LateSuccessRow, OpenedBatch } from '../src/storage/attempts.ts';
import { attemptSpan } from '../src/tracing/attempt.ts';
import type { ActivityDependencies, Reachable } from './dependencies.ts';
import { isoTime } from '../src/core/isoTime.ts';
import { asError } from './asError.ts';
import type { NotedFailure } from './judgeAttempt.ts';
import type { Ledger } from './ledger.ts';
import { persist } from './persist.ts';
import { Supply } from './supply.ts';
import { workflowIdHere } from './workflowIdHere.ts';

export interface Limits {
  readonly signal: AbortSignal;
  /** No request is begun after this (performance.now()). */
  readonly untilMs: number;
  /** Rows that arrive for the batch's lane meanwhile join it. Default false. */
  readonly takesIn?: boolean;
  /** What is not begun by then goes back to the lane. Default false: it stays with the batch. */
  readonly returnsRest?: boolean;
}

/** Whether no more requests are to be begun. */
export function isOver({ leaving }: ActivityDependencies, { signal, untilMs }: Limits): boolean {
  return signal.aborted || leaving.asked.aborted || performance.now() >= untilMs;
}

/**
 * Sends the batch's due rows in order of seq, as many at once as their destination allows; those of one key, where order is
 * kept, one after another, and none behind one that failed. `first`: those loaded already.
 * However it ends, nothing is under way any more.
 */
export async function deliverRows(
  dependencies: ActivityDependencies,
  batch: OpenedBatch,
  first: readonly DeliveryRow[],
  ledger: Ledger,
  limits: Limits,
): Promise<void> {
  const { signal } = limits;
  const slots = new Slots();
  const stopped = (): boolean => ledger.enough || isOver(dependencies, limits);
  const isTimeUp = (): boolean =>
    performance.now() >= limits.untilMs &&
    !(signal.aborted || ledger.enough || dependencies.leaving.asked.aborted);
  const reachables = new Map<string, Reachable | undefined>();
  const chains = new KeyChains<DeliveryRow>();
  const underWay = new Set<string>();
  /** Takes over a slot, which it gives back or hands on to the next row of its key. */
  const begin = (row: DeliveryRow, reachable: Reachable | undefined): void => {
    underWay.add(row.seq);
    void deliverSafely(dependencies, row, reachable, signal).then((outcome) => {
      note(ledger, row, outcome);
      underWay.delete(row.seq);
      const next =
        row.orderKey === null
          ? undefined
          : chains.settled(row.orderKey, 'acknowledged' in outcome || 'late' in outcome);
      if (next === undefined || stopped()) slots.give();
      else begin(next, reachable);
      slots.stir();
    });
  };
  const supply = new Supply(dependencies, batch, ledger, limits);
  // Whoever waits for a slot is to see that time is up.
  const bell = setTimeout(() => slots.stir(), Math.max(limits.untilMs - performance.now(), 0) + 1);
  try {
    for (let rows = first; ;) {
      const loading = supply.prefetch(rows);
      for (const row of rows) {
        if (!reachables.has(row.destination)) {
          const find = () => dependencies.destinations.find(row.destination, batch.configRevision);
          reachables.set(row.destination, await persist(find, { signal }));
        }
        if (row.orderKey !== null && !chains.admit(row.orderKey, row)) continue;
        const reachable = reachables.get(row.destination);
        const limit = reachable?.pace.limit(reachable.config.concurrency, clock) ?? 1;
        // No await where none is needed: this loop runs for every message.
        if (slots.taken >= limit) await slots.until(() => slots.taken < limit || stopped());
        if (stopped()) break;
        slots.taken++;
        begin(row, reachable);
      }
      // Long chains: what waits in memory is not added to before half of it is gone. Where other keys may join, only by very long ones.
      const most = supply.isOpen ? chainedMost : rows.length / 2;
      if (chains.waiting > most) await slots.until(() => chains.waiting <= most || stopped());
      if (stopped()) break;
      rows = await loading;
      if (rows.length === 0) rows = await supply.joining(() => slots.taken > 0);
      if (rows.length === 0) break;
    }
    if (limits.returnsRest === true && isTimeUp()) await supply.returnRest(underWay);
  } finally {
    clearTimeout(bell);
    supply.end();
    await slots.until(() => slots.taken === 0);
  }
}

const chainedMost = 1_000;

const clock = (): number => performance.now();

/** Counts requests under way. A race over all their promises for every row cost more than the requests. */
class Slots {
  taken = 0;
  #wake: (() => void) | undefined;

  give(): void {
    this.taken--;
  }

  /** Whoever waits looks again. */
  stir(): void {
    this.#wake?.();
  }

  async until(met: () => boolean): Promise<void> {
    while (!met()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

export type RowOutcome =
  | { readonly acknowledged: true }
  | { readonly late: LateSuccessRow }
  | { readonly failure: NotedFailure }
  | { readonly aborted: true };

export function note(ledger: Ledger, row: DeliveryRow, outcome: RowOutcome): void {
  if ('acknowledged' in outcome) ledger.acknowledged(row.seq, row.type ?? '');
  if ('late' in outcome) ledger.acknowledgedLate(outcome.late, row.type ?? '');
  if ('failure' in outcome) ledger.failed(outcome.failure);
}

/** Never rejects: an event that cannot even be described is refused, and says why. */
export async function deliverSafely(
  dependencies: ActivityDependencies,
  row: DeliveryRow,
  reachable: Reachable | undefined,
  signal: AbortSignal,
): Promise<RowOutcome> {
  try {
    if (reachable === undefined)
      return {
        failure: unsendable(
          row,
          'destination-removed',
          `There is no destination ${row.destination} any more`,
        ),
      };
    if (row.type === null)
      return { failure: unsendable(row, 'event-missing', 'The event is gone from outbox.events') };
    const isSecret = isEncrypted(row);
    const body = isSecret ? await decrypted(row, row.type, dependencies.keys) : row;
    if ('failure' in body) return body;
    dependencies.telemetry.sending();
    const headers = headersOf(row);
    const span = attemptSpan(row, headers, reachable.config);
    const message = messageOf(body, row.type, reachable.config, span?.headers ?? headers);
    const outcome = await sendIn(span, reachable, message, signal);
    const held = failpoint('after-send');
    if (held !== undefined) await held;
    return judged(dependencies, row, reachable, message, outcome);
  } catch (error) {
    return {
      failure: unsendable(
        row,
        'not-describable',
        `It cannot be made into a request: ${asError(error).message}`,
      ),
    };
  }
}

/** No function is made where nothing is traced: this runs for every message. */
function sendIn(
  span: ReturnType<typeof attemptSpan>,
  { sender }: Reachable,
  message: OutgoingMessage,
  signal: AbortSignal,
): Promise<SendOutcome> {
  return span === null ? sender.send(message, signal) : span.send(() => sender.send(message, signal));
}

const acknowledged: RowOutcome = Object.freeze({ acknowledged: true });
const aborted: RowOutcome = Object.freeze({ aborted: true });

function judged(
  { random, telemetry, outcomes }: ActivityDependencies,
  row: DeliveryRow,
  reachable: Reachable,
  message: OutgoingMessage,
  outcome: SendOutcome,
): RowOutcome {
  telemetry.sent(row.destination, outcome.kind, outcome.kind === 'aborted' ? null : outcome.durationMs);
  if (outcome.kind === 'acknowledged') {
    const { status, durationMs } = outcome;
    if (outcomes.verbose) outcomes.acknowledged(workflowIdHere(), row, status, durationMs);
    if (row.tries === 0) return acknowledged;
    return { late: { seq: row.seq, status, durationMs, ...reachable.sender.describe?.(message) } };
  }
  if (outcome.kind === 'aborted') return aborted;
  const written = {
    ...failureOf(row, outcome, reachable, random()),
    ...reachable.sender.describe?.(message),
    // An answer may well repeat what was sent.
    ...(isEncrypted(row) ? { excerpt: null } : {}),
  };
  return { failure: noted(row, written, outcome) };
}

function messageOf(
  row: DeliveryRow,
  type: string,
  { ordering }: Reachable['config'],
  headers: OutgoingMessage['headers'],
): OutgoingMessage {
  const message = {
    eventId: row.eventId,
    destination: row.destination,
    revision: row.revision,
    type,
    key: row.key,
    // Of the event's key: one that gave up its turn is still known by its number.
    sequence: ordering === 'key' && row.key !== null ? row.seq : null,
    source: row.source,
    subject: row.subject,
    contentType: row.contentType,
    payload: bodyOf(row),
    headers,
    createdAt: isoTime(row.createdMs),
    attempt: row.tries + 1,
  };
  return row.extracted === null ? message : { ...message, extracted: row.extracted };
}

/** Of a JSON string whose content type is not JSON its characters: a CSV would not be one in quotes. */
function bodyOf({ payload, payloadBytes, contentType }: DeliveryRow): string | Uint8Array {
  if (payloadBytes !== null) return payloadBytes;
  if (payload === null) throw new Error('it has no payload');
  return payload.startsWith('"') && !isJsonType(contentType) ? (JSON.parse(payload) as string) : payload;
}

function headersOf({ headers }: DeliveryRow): OutgoingMessage['headers'] {
  return headers === '{}' ? noHeaders : (JSON.parse(headers) as Record<string, string>);
}

const noHeaders: Readonly<Record<string, string>> = Object.freeze({});

function failureOf(
  row: DeliveryRow,
  outcome: FailedOutcome,
  { config }: Reachable,
  random: number,
): FailureRow {
  const charged = outcome.kind === 'refused';
  const nowMs = Date.now();
  const decision = retryDecision({
    policy: config.retry,
    // Whether it parks the event at once is decided when it is known how others fared.
    outcome: charged && waitsForProof(config.circuit, outcome) ? { ...outcome, permanent: false } : outcome,
    chargedAttempts: row.attempts + (charged ? 1 : 0),
    unreachableTries: charged ? 0 : row.unreachable + 1,
    // The database measured the time since the first attempt; only the difference counts, not this machine's clock.
    firstAttemptAtMs: nowMs - outcome.durationMs - (row.sinceFirstMs ?? 0),
    nowMs,
    random,
    retryAfterMs: outcome.retryAfterMs,
  });
  return {
    seq: row.seq,
    eventId: row.eventId,
    destination: row.destination,
    tries: row.tries,
    charged,
    park: decision.kind === 'park' ? decision.reason : null,
    delayMs: decision.kind === 'retry' ? decision.delayMs : 0,
    status: outcome.status,
    errorClass: outcome.errorClass,
    message: outcome.message,
    excerpt: outcome.excerpt,
    durationMs: outcome.durationMs,
  };
}

/** With no key here, it waits, uncharged: another process may have it, or this one later. One that cannot be read is a person's. */
async function decrypted(
  row: DeliveryRow,
  type: string,
  keys: KeyProvider,
): Promise<DeliveryRow | { readonly failure: NotedFailure }> {
  try {
    const { contentType, payload } = await openPayload(type, row.payload, keys);
    const isText = typeof payload === 'string';
    return { ...row, contentType, payload: isText ? payload : null, payloadBytes: isText ? null : payload };
  } catch (error) {
    const { message } = asError(error);
    if (isOutboxError(error) && error.code === 'OUTBOX_PAYLOAD_UNREADABLE')
      return { failure: unsendable(row, 'payload-unreadable', upperFirst(message)) };
    const waits = { charged: false, park: null, delayMs: keyWaitMs(row.unreachable) };
    return { failure: unsendable(row, 'key-missing', `${upperFirst(message)}: it waits`, waits) };
  }
}

function keyWaitMs(before: number): number {
  return Math.min(2_000 * 2 ** Math.min(before, 10), 60_000);
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function unsendable(
  row: DeliveryRow,
  errorClass: string,
  message: string,
  { charged, park, delayMs }: Pick<FailureRow, 'charged' | 'park' | 'delayMs'> = atOnce,
): NotedFailure {
  const failure = {
    seq: row.seq,
    eventId: row.eventId,
    destination: row.destination,
    tries: row.tries,
    ...{ charged, park, delayMs },
    status: null,
    errorClass,
    message,
    excerpt: null,
    durationMs: 0,
  };
  return noted(row, failure, null);
}

const atOnce = { charged: true, park: 'permanent', delayMs: 0 };

function noted(
  { attempts, type, sinceFirstMs }: DeliveryRow,
  row: FailureRow,
  outcome: FailedOutcome | null,
): NotedFailure {
  return { row, outcome, again: attempts > 0, type: type ?? '', sinceFirstMs: sinceFirstMs ?? 0 };
}
