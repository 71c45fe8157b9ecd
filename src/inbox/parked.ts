/** Messages of queues that wait for a person, and what persons say of them. */
import { OutboxError } from '../errors.ts';
import { rowsOf } from '../produce/client.ts';
import { invalid } from './message.ts';
import { firstRow, type SqlClient } from './sql.ts';

export interface ParkedMessage {
  readonly id: string;
  readonly consumer: string;
  /** As it came; null where it has none that is usable. */
  readonly messageId: string | null;
  /** Whose order it holds up; null where none is kept. */
  readonly key: string | null;
  readonly type: string | null;
  /** `rabbitmq orders` */
  readonly source: string;
  /** `parked` waits for a person, `retrying` for its time, `waiting` behind an earlier one of its key, `resolved` for nothing. */
  readonly state: 'parked' | 'retrying' | 'waiting' | 'resolved';
  /** `attempts-exhausted`, `schedule-to-close`, `refused`, `process-died`, `no-id`, `invalid-id`, `conflict`, `revision`, `expired`. */
  readonly reason: string | null;
  readonly lastError: string | null;
  /** Charged attempts. */
  readonly failed: number;
  readonly arrivedAt: string;
  readonly parkedAt: string | null;
  readonly nextAt: string | null;
  readonly resolvedAt: string | null;
  readonly resolution: 'applied' | 'discarded' | null;
  readonly resolvedBy: string | null;
  readonly resolvedReason: string | null;
}

export interface ParkedDetail extends ParkedMessage {
  readonly headers: Readonly<Record<string, string>>;
  readonly contentType: string | null;
  /** The bytes as they came, or as they were edited. */
  readonly body: Uint8Array;
  readonly audit: readonly {
    readonly at: string;
    readonly action: string;
    readonly actor: string;
    readonly reason: string | null;
    /** `done`, or why not. */
    readonly outcome: string;
  }[];
}

export interface ParkedFilter {
  readonly consumer?: string;
  /** Default: what is not resolved. */
  readonly state?: ParkedMessage['state'];
  /** Messages behind this id. */
  readonly after?: string;
  /** Default 100. */
  readonly limit?: number;
}

const iso = (column: string): string =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

const columns = `id::text, consumer, message_id as "messageId", key, type, source, state, reason, last_error as "lastError", failed,
  ${iso('arrived_at')} as "arrivedAt", ${iso('parked_at')} as "parkedAt", ${iso('next_at')} as "nextAt",
  ${iso('resolved_at')} as "resolvedAt", resolution, resolved_by as "resolvedBy", resolved_reason as "resolvedReason"`;

/** In the order of their arrival. */
export async function listParked(client: SqlClient, filter: ParkedFilter = {}): Promise<ParkedMessage[]> {
  const { consumer = null, state = null, after = '0', limit = 100 } = filter;
  const answer = await client.query(
    `select ${columns} from outbox_inbox.parked
     where id > $1::bigint and ($2::text is null or consumer = $2)
       and case when $3::text is null then resolved_at is null else state = $3 end
     order by id limit $4::int`,
    [checkedId(after), consumer, state, limit],
  );
  return rowsOf<ParkedMessage>(answer);
}

/** @throws OutboxError OUTBOX_NOT_FOUND */
export async function showParked(client: SqlClient, id: string): Promise<ParkedDetail> {
  const row = await firstRow<Omit<ParkedDetail, 'audit'>>(
    client,
    `select ${columns}, headers, content_type as "contentType", body from outbox_inbox.parked where id = $1::bigint`,
    [checkedId(id)],
  );
  if (row === undefined) throw notFound(id);
  const audit = await client.query(
    `select ${iso('at')} as at, action, actor, reason, outcome from outbox_inbox.parked_audit where parked_id = $1::bigint order by id`,
    [id],
  );
  return { ...row, audit: rowsOf<ParkedDetail['audit'][number]>(audit) };
}

export interface Resolution {
  /** `edit` changes body or headers and retries. */
  readonly action: 'retry' | 'edit' | 'discard';
  readonly actor: string;
  readonly reason?: string;
  readonly body?: Uint8Array;
  /** Set beside those that are there. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Retries or discards a parked message; a running consumer of its name does the work. Each acts once: who comes second is refused, and
 * both are written down.
 *
 * @throws OutboxError OUTBOX_NOT_FOUND, OUTBOX_COMMAND_REFUSED
 */
export async function resolveParked(client: SqlClient, id: string, resolution: Resolution): Promise<void> {
  const { action, actor, reason = null, body, headers } = resolution;
  const row = await firstRow<{ outcome: string }>(
    client,
    'select outbox_inbox.resolve_parked($1::bigint, $2, $3, $4, $5::bytea, $6::jsonb) as outcome',
    [
      ...[checkedId(id), action, actor, reason, body === undefined ? null : Buffer.from(body)],
      headers === undefined ? null : JSON.stringify(headers),
    ],
  );
  const outcome = row?.outcome ?? 'not found';
  if (outcome === 'done') return;
  if (outcome === 'not found') throw notFound(id);
  throw new OutboxError('OUTBOX_COMMAND_REFUSED', `${action} of parked message ${id}: ${outcome}`, {
    hint: `Look at it: temporal-outbox inbox parked show ${id}`,
  });
}

function checkedId(id: string): string {
  if (/^\d{1,18}$/.test(id)) return id;
  throw invalid('id', 'the number of a parked message, as inbox parked list shows it', id);
}

function notFound(id: string): OutboxError {
  return new OutboxError('OUTBOX_NOT_FOUND', `no parked message has the id ${id}`, {
    hint: 'Run: temporal-outbox inbox parked list',
  });
}
