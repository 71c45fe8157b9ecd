/** The way of one message: which it is, its turn, its attempts, and what became of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { nextDelayMs } from '../core/retry.ts';
import { claimed, claimStatement, explainedClaim, type ClaimRow } from '../inbox/claim.ts';
import { runHandler } from '../inbox/processOnce.ts';
import { firstRow } from '../inbox/sql.ts';
import { inTransaction, type ReceiverClient } from '../receiver/transaction.ts';
import { messagingSystem } from '../tracing/openTelemetry.ts';
import { processing, type Processed } from '../tracing/process.ts';
import type { Begun } from './attempts.ts';
import { failureOf, type Failure } from './failures.ts';
import { identify, type Known } from './identify.ts';
import { ConsumedMessage } from './message.ts';
import { Settling, type WorkParts } from './settling.ts';
import { Slots, Turns } from './slots.ts';
import type { Delivery } from './type.ts';

/** A message that took its process with it so often is not begun again. */
const deathsMax = 2;
/** Between tries that cost nothing. */
const postponedMsMax = 30_000;

/** Before the inbox is asked again. */
function inboxPauseMs(tries: number): number {
  return Math.min(100 * 2 ** tries, postponedMsMax);
}

/** One try: what was counted before it, and how it gives its slot back. */
interface Turn {
  readonly begun: Begun;
  readonly tries: number;
  readonly leave: () => void;
}

export class Work<Client extends ReceiverClient> {
  readonly #parts: WorkParts<Client>;
  readonly #settling: Settling<Client>;
  readonly #slots: Slots;
  readonly #turns = new Turns();
  readonly #here = new Set<Promise<void>>();

  constructor(parts: WorkParts<Client>) {
    this.#parts = parts;
    this.#settling = new Settling(parts);
    this.#slots = new Slots(parts.settings.concurrency);
  }

  /** Never throws: what goes wrong with the broker or for good with the database leaves the message to be delivered again. */
  take(delivery: Delivery): void {
    const under = this.#take(delivery).catch((error: unknown) => {
      if (!this.#parts.stopping.aborted) this.#parts.tell(error, null);
      return delivery.giveBack().then(ignore, ignore);
    });
    this.#here.add(under);
    void under.finally(() => this.#here.delete(under));
  }

  /** Until all that was taken is settled. */
  async idle(): Promise<void> {
    while (this.#here.size > 0) await Promise.all(this.#here);
  }

  async #take(delivery: Delivery): Promise<void> {
    const { settings, options } = this.#parts;
    const known = identify(delivery, settings.consumer, options);
    if (!('message' in known)) return this.#settling.park(delivery, known, known.reason, known.text);
    const { order } = settings;
    const turn = order === 'key' && known.key !== null ? `key ${known.key}` : `id ${known.id}`;
    await this.#turns.run(turn, () => this.#untilSettled(delivery, known));
  }

  /** Again and again where that costs nothing and the broker need not know. */
  async #untilSettled(delivery: Delivery, known: Known): Promise<void> {
    const { attempts, database, settings, stopping, tell } = this.#parts;
    // Counted while others are at work, which costs no time of a slot; where order is kept, no sooner than it may begin.
    const isAhead = settings.order === 'none' && delivery.kept === undefined;
    for (let tries = 1; ; tries++) {
      await database.available();
      let begun = isAhead && !stopping.aborted ? await this.#begin(delivery, known) : null;
      const leave = await this.#slots.enter();
      let waitMs: number | null;
      try {
        if (stopping.aborted || delivery.lost?.aborted === true) {
          if (begun !== null) await attempts.end(known.id, false).catch(ignore);
          return await this.#settling.giveBack(delivery);
        }
        begun ??= await this.#begin(delivery, known);
        waitMs =
          begun === null ? inboxPauseMs(tries) : await this.#try(delivery, known, { leave, begun, tries });
      } catch (error) {
        // Given back, it would come after those of its key that are here already.
        if (settings.order !== 'key' || known.key === null || stopping.aborted) throw error;
        tell(error, known.id);
        waitMs = inboxPauseMs(tries);
      } finally {
        leave();
      }
      if (waitMs === null) return;
      await sleep(waitMs, undefined, { signal: stopping }).catch(ignore);
    }
  }

  /** Null when the inbox is not usable. */
  async #begin(delivery: Delivery, known: Known): Promise<Begun | null> {
    const { settings, attempts, database } = this.#parts;
    try {
      const ordered = settings.order === 'key' ? known.key : null;
      return await attempts.begin(known.id, ordered, delivery.kept !== undefined);
    } catch (error) {
      if (await database.isThere(error)) this.#parts.tell(error, known.id);
      return null;
    }
  }

  /** Null when it is settled; else when to try again. */
  async #try(delivery: Delivery, known: Known, turn: Turn): Promise<number | null> {
    const { attempts, stopping } = this.#parts;
    const { leave } = turn;
    const { verdict, deaths } = turn.begun;
    if (verdict === 'kept') return this.#settling.acknowledge(delivery);
    if (verdict === 'behind') {
      await this.#settling.keep(delivery, known, {
        state: 'waiting',
        reason: 'behind',
        error: null,
        delayMs: null,
      });
      return null;
    }
    if (deaths >= deathsMax) {
      await this.#settling.park(
        delivery,
        known,
        'process-died',
        `${deaths} processes ended while they were at work on it`,
      );
      return null;
    }
    if (verdict === 'go') return this.#attempt(delivery, known, turn);
    // A process ended with it, or beside it: this time it is alone, so that none of its neighbours pays for it again.
    leave();
    const leaveAlone = await this.#slots.enterAlone();
    try {
      if (stopping.aborted || delivery.lost?.aborted === true) {
        await this.#settling.giveBack(delivery);
        return null;
      }
      await attempts.beginAlone(known.id);
      return await this.#attempt(delivery, known, { ...turn, leave: leaveAlone });
    } finally {
      leaveAlone();
    }
  }

  async #attempt(delivery: Delivery, known: Known, { begun, tries, leave }: Turn): Promise<number | null> {
    const { attempts, database, events, settings, tell } = this.#parts;
    const startedMs = performance.now();
    const during = { phase: 'claim' as 'claim' | 'handler' };
    try {
      const outcome = await processing(
        () => this.#traced(delivery, known),
        () => this.#inTransaction(delivery, known, during),
        (came) => ({ attributes: { 'outbox.outcome': came }, error: null }),
      );
      const durationMs = performance.now() - startedMs;
      events.tell(outcome === 'processed' ? 'processed' : 'repeated', {
        ...about(known),
        durationMs,
        reason: outcome,
      });
      attempts.settled(known.id);
      // The broker's answer is not waited for with a slot.
      leave();
      return await this.#settling.acknowledge(delivery);
    } catch (error) {
      const durationMs = performance.now() - startedMs;
      const failure = failureOf(error, during.phase);
      // With the database away nothing is the message's fault, whatever the handler made of it.
      const isThere = failure.kind === 'refused' || (await database.isThere(error));
      if (!isThere || failure.kind === 'inbox' || failure.kind === 'postponed') {
        if (failure.kind === 'inbox' && isThere) tell(error, known.id);
        await attempts.end(known.id, false);
        return this.#postpone(delivery, known, { begun, tries, failure, isThere });
      }
      events.tell('failed', { ...about(known), durationMs, reason: failure.text });
      if (failure.kind === 'failed') tell(error, known.id);
      if (failure.kind === 'refused') {
        await this.#settling.park(delivery, known, failure.reason, failure.text);
        return null;
      }
      const failed = await attempts.end(known.id, true);
      const delayMs = Math.max(nextDelayMs(settings.retry, failed, Math.random()), failure.retryAfterMs ?? 0);
      const isLate = Date.now() + delayMs > begun.firstAtMs + settings.retry.scheduleToCloseTimeoutMs;
      if (failed >= settings.retry.maximumAttempts || isLate)
        await this.#settling.park(
          delivery,
          known,
          isLate ? 'schedule-to-close' : failure.reason,
          failure.text,
        );
      else await this.#settling.again(delivery, known, delayMs, failure.text);
      return null;
    }
  }

  #traced({ headers }: Delivery, { id, type }: Known): Processed {
    const { source, settings } = this.#parts;
    const [system = '', ...destination] = source.split(' ');
    const attempt = Number(headers['outbox-attempt']);
    return {
      system: messagingSystem(system),
      destination: destination.join(' '),
      ...{ consumer: settings.consumer, messageId: id, type },
      attempt: Number.isSafeInteger(attempt) ? attempt : null,
      trace: { traceparent: headers['traceparent'], tracestate: headers['tracestate'] },
    };
  }

  #inTransaction(delivery: Delivery, known: Known, during: { phase: 'claim' | 'handler' }): Promise<string> {
    const { database, settings, options, givenUp } = this.#parts;
    const { message } = known;
    const work = async (client: Client, opened: readonly unknown[]): Promise<string> => {
      const claim = claimed(opened[0] as ClaimRow, message);
      if (claim.outcome === 'taken') {
        during.phase = 'handler';
        const told = new ConsumedMessage(delivery, { ...known, signal: givenUp }, message, claim.replaces);
        const run = async () =>
          runHandler(client, message, claim.replaces, () => options.handler(client, told));
        await (options.around === undefined ? run() : options.around(told, run));
      }
      if (delivery.kept !== undefined) {
        const row = await firstRow<{ applied: boolean }>(
          client,
          'select outbox_inbox.applied($1::bigint) as applied',
          [delivery.kept],
        );
        if (claim.outcome === 'taken' && row?.applied !== true)
          throw new Error('it was resolved by somebody meanwhile');
      }
      return claim.outcome === 'taken' ? 'processed' : claim.outcome;
    };
    const opening = (): string => {
      during.phase = 'claim';
      return claimStatement(message, settings.claim);
    };
    return inTransaction(database.pool, settings.isolation, work, opening).catch((error: unknown) => {
      throw during.phase === 'claim' ? explainedClaim(error) : error;
    });
  }

  /** It was not possible now. The queue need not know, unless that would hold up others. */
  async #postpone(
    delivery: Delivery,
    known: Known,
    facts: {
      readonly begun: Begun;
      readonly tries: number;
      readonly failure: Failure;
      readonly isThere: boolean;
    },
  ): Promise<number | null> {
    const { settings, events } = this.#parts;
    const { begun, tries, failure, isThere } = facts;
    // The database's absence is told once, and waited for by all.
    if (!isThere) return 0;
    events.tell('postponed', { ...about(known), reason: failure.text });
    if (
      failure.kind === 'postponed' &&
      Date.now() > begun.firstAtMs + settings.retry.scheduleToCloseTimeoutMs
    ) {
      await this.#settling.park(delivery, known, 'schedule-to-close', failure.text);
      return null;
    }
    const grown = Math.min(settings.retry.initialIntervalMs * 2 ** (tries - 1), postponedMsMax);
    const delayMs = failure.retryAfterMs ?? grown;
    if (failure.kind === 'inbox' || settings.order === 'key' || delivery.again === null) return delayMs;
    await this.#settling.again(delivery, known, delayMs, failure.text);
    return null;
  }
}

function about({ id, key, type }: Known): { messageId: string; key: string | null; type: string | null } {
  return { messageId: id, key, type };
}

const ignore = (): undefined => undefined;
