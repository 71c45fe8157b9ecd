/** The producer's side. Loads nothing of Temporal: it runs inside every service that writes events. */
import { OutboxError } from '../errors.ts';
import { explainDatabaseError } from '../storage/errors.ts';
import { explainRefusedEvent } from './refusals.ts';
import { assertEvent, payloadTextOf, type NewEvent } from './event.ts';

/** Anything that runs SQL in your transaction: a `pg` client, or an adapter around Knex, Kysely, Drizzle, Prisma, TypeORM. */
export interface SqlClient {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>;
}

export interface EnqueuedEvent {
  readonly id: string;
  /** False when the same id (or dedup key) with the same content was there before: nothing was written again. */
  readonly inserted: boolean;
}

/**
 * Writes one event, or several in one statement, in the transaction that `client` is in. When that transaction commits
 * the event will be delivered, when it rolls back it never was.
 *
 * @throws OutboxError OUTBOX_EVENT_INVALID when an event cannot be stored as it is: nearly always before anything is sent
 * @throws OutboxError OUTBOX_EVENT_CONFLICT when the id or dedup key belongs to an event with other content; as with every
 *   error of PostgreSQL, the transaction can then only be rolled back
 */
export async function enqueue(client: SqlClient, event: NewEvent): Promise<EnqueuedEvent>;
export async function enqueue(client: SqlClient, events: readonly NewEvent[]): Promise<EnqueuedEvent[]>;
export async function enqueue(
  client: SqlClient,
  input: NewEvent | readonly NewEvent[],
): Promise<EnqueuedEvent | EnqueuedEvent[]> {
  const events = Array.isArray(input) ? (input as readonly NewEvent[]) : [input as NewEvent];
  const written = events.length === 0 ? [] : await write(client, events);
  return Array.isArray(input) ? written : (written[0] as EnqueuedEvent);
}

async function write(client: SqlClient, events: readonly NewEvent[]): Promise<EnqueuedEvent[]> {
  const values = columnsOf(events);
  try {
    const { rows } = await client.query(
      `select id, inserted from outbox.enqueue_all($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
         $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::text[]) order by ordinal`,
      values,
    );
    return rows as EnqueuedEvent[];
  } catch (error) {
    throw explainRefusedEvent(error) ?? explainDatabaseError(error, 'the outbox database');
  }
}

function columnsOf(events: readonly NewEvent[]): unknown[] {
  const checked = events.map((event, index) => {
    try {
      assertEvent(event);
      return { ...event, payloadText: payloadTextOf(event) };
    } catch (error) {
      throw events.length === 1 ? error : atIndex(error, index);
    }
  });
  const column = <T>(pick: (event: NewEvent) => T | undefined): (T | null)[] =>
    checked.map((event) => pick(event) ?? null);
  return [
    column((event) => event.id),
    column((event) => event.type),
    column((event) => event.payloadText),
    column((event) => event.key),
    column((event) => (event.headers === undefined ? undefined : JSON.stringify(event.headers))),
    column((event) => event.deliverAt?.toISOString()),
    column((event) => event.source),
    column((event) => event.subject),
    column((event) => event.contentType),
    column((event) => event.dedupKey),
  ];
}

function atIndex(error: unknown, index: number): unknown {
  if (!(error instanceof OutboxError)) return error;
  return new OutboxError(
    error.code,
    `events[${index}].${error.message}`,
    error.hint === undefined ? {} : { hint: error.hint },
  );
}
