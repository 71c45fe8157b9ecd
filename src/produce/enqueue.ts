/** The producer's side. Loads nothing of Temporal: it runs inside every service that writes events. */
import { encryptEvent } from '../encryption/event.ts';
import type { KeyProvider } from '../encryption/keys.ts';
import { OutboxError } from '../errors.ts';
import { statementEnd } from '../storage/driverError.ts';
import { explainDatabaseError } from '../storage/errors.ts';
import { assertTransaction, rowsExpected, type SqlClient } from './client.ts';
import { assertEvent, checkedPayload, type CheckedPayload, type NewEvent } from './event.ts';
import { explainRefusedEvent } from './refusals.ts';
import { activeTraceHeaders } from './traceContext.ts';

export type { SqlAnswer, SqlClient } from './client.ts';

export interface EnqueuedEvent {
  readonly id: string;
  /** False when the same id (or dedup key) with the same content was there before: nothing was written again. */
  readonly inserted: boolean;
}

export interface EnqueueOptions {
  /**
   * For an event that belongs to no transaction of yours: it is written in one of its own, also through a pool. Default false:
   * what is recognised as a pool, or as a connection without a transaction, is refused.
   */
  readonly ownTransaction?: boolean;
  /** Encrypts the payloads, by `encryptionKeys(…)` or a provider of yours. Default: they are stored as they are. */
  readonly encryption?: KeyProvider;
}

/**
 * Writes one event, or several in one statement, in the transaction that `client` is in. When that transaction commits
 * the event will be delivered, when it rolls back it never was.
 *
 * @throws OutboxError OUTBOX_EVENT_INVALID when an event cannot be stored as it is: nearly always before anything is sent
 * @throws OutboxError OUTBOX_KEY_MISSING, OUTBOX_KEY_INVALID with the option `encryption`
 * @throws OutboxError OUTBOX_CLIENT_INVALID when `client` is a pool (see {@link EnqueueOptions}), or answers no rows
 * @throws OutboxError OUTBOX_EVENT_CONFLICT when the id or dedup key belongs to an event with other content; as with every
 *   error of PostgreSQL, the transaction can then only be rolled back
 */
export async function enqueue(
  client: SqlClient,
  event: NewEvent,
  options?: EnqueueOptions,
): Promise<EnqueuedEvent>;
export async function enqueue(
  client: SqlClient,
  events: readonly NewEvent[],
  options?: EnqueueOptions,
): Promise<EnqueuedEvent[]>;
export async function enqueue(
  client: SqlClient,
  input: NewEvent | readonly NewEvent[],
  { ownTransaction = false, encryption }: EnqueueOptions = {},
): Promise<EnqueuedEvent | EnqueuedEvent[]> {
  const given = Array.isArray(input) ? (input as readonly NewEvent[]) : [input as NewEvent];
  const events = encryption === undefined ? given : await encrypted(given, encryption);
  const text = eventsText(events);
  if (!ownTransaction) assertTransaction(client);
  const written = events.length === 0 ? [] : await write(client, text, events.length);
  return Array.isArray(input) ? written : (written[0] as EnqueuedEvent);
}

async function encrypted(events: readonly NewEvent[], keys: KeyProvider): Promise<NewEvent[]> {
  return Promise.all(
    events.map((event, index) =>
      encryptEvent(event, keys).catch((error: unknown) => {
        throw events.length === 1 ? error : atIndex(error, index);
      }),
    ),
  );
}

async function write(client: SqlClient, text: string, count: number): Promise<EnqueuedEvent[]> {
  const statement = `select id, inserted from outbox.enqueue_events($1::text) order by ordinal ${statementEnd}`;
  const answer = await client.query(statement, [text]).catch((error: unknown) => {
    throw explainRefusedEvent(error) ?? explainDatabaseError(error, 'the outbox database');
  });
  return rowsExpected<EnqueuedEvent>(answer, count).map(({ id, inserted }) => ({ id, inserted }));
}

/** All events in one JSON text. The payload's text is a text in it, so that no digit is read as a number on the way. */
function eventsText(events: readonly NewEvent[]): string {
  const rows = events.map((event, index) => {
    try {
      assertEvent(event);
      return rowOf(event, checkedPayload(event));
    } catch (error) {
      throw events.length === 1 ? error : atIndex(error, index);
    }
  });
  return JSON.stringify(rows);
}

function rowOf(event: NewEvent, { payloadText, payloadBase64 }: CheckedPayload) {
  const { id, type, key, source, subject } = event;
  const headers = withTraceContext(event);
  return {
    ...{ id, type, payload: payloadText, payload_bytes: payloadBase64, key, source, subject },
    headers: headers === undefined ? undefined : JSON.stringify(headers),
    deliver_at: event.deliverAt?.toISOString(),
    content_type: event.contentType,
    dedup_key: event.dedupKey,
  };
}

/**
 * The headers, with the context of OpenTelemetry's active span where there is one and the event brings none. Not for one that may be written again under its
 * own name: a repeat comes in another span, and with other headers it would be another event.
 */
function withTraceContext({ headers, id, dedupKey }: NewEvent): NewEvent['headers'] {
  if (id !== undefined || dedupKey !== undefined) return headers;
  if (Object.keys(headers ?? {}).some((name) => name.toLowerCase() === 'traceparent')) return headers;
  const trace = activeTraceHeaders();
  return trace === undefined ? headers : { ...headers, ...trace };
}

function atIndex(error: unknown, index: number): unknown {
  if (!(error instanceof OutboxError)) return error;
  return new OutboxError(
    error.code,
    `events[${index}].${error.message}`,
    error.hint === undefined ? {} : { hint: error.hint },
  );
}
