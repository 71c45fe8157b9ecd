import { base64 } from './base64Column.ts';
import { likePattern } from '../core/pattern.ts';
import { auditColumns, type AuditLine } from './audit.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';
import { iso } from './isoColumn.ts';

export type DeadLetterStatus = 'open' | 'resolved' | 'all';

/** Which dead letters are meant; every field given must hold. */
export interface DeadLetterFilter {
  readonly status: DeadLetterStatus;
  readonly destination?: string;
  /** Event type, `*` for any run of characters, as in routes. */
  readonly type?: string;
  readonly reason?: string;
  readonly eventId?: string;
  /** Id of a cause, as `dlq causes` shows it. */
  readonly cause?: string;
  /** A text within the last error, or the cause's, large or small letters. */
  readonly text?: string;
}

/** One park episode of one delivery. Times are ISO 8601 in UTC. */
export interface DeadLetter {
  readonly id: number;
  readonly eventId: string;
  readonly eventType: string;
  readonly destination: string;
  /** The workflow that holds it, or held it. */
  readonly workflowId: string;
  /** 1 for the first time this delivery was parked. */
  readonly episode: number;
  readonly revision: number;
  readonly reason: string;
  /** Attempts charged to maximumAttempts, and all of them. */
  readonly attempts: number;
  readonly tries: number;
  readonly lastStatus: number | null;
  readonly lastErrorClass: string | null;
  readonly lastError: string | null;
  /** What letters of the same cause share; null when the event was erased, or it was resolved before there were causes. */
  readonly cause: string | null;
  readonly parkedAt: string;
  readonly resolvedAt: string | null;
  readonly resolution: string | null;
  readonly resolvedBy: string | null;
  readonly resolutionReason: string | null;
  readonly redirectedTo: string | null;
}

/** Enough to send a command about it. */
export type DeadLetterTarget = Pick<DeadLetter, 'id' | 'eventId' | 'destination' | 'workflowId'>;

const columns = `l.id::float8 as id, l.event_id as "eventId", l.event_type as "eventType", l.destination, l.workflow_id as "workflowId",
  l.park_no as episode, l.revision, l.reason, l.attempts, l.tries, l.last_status as "lastStatus",
  l.last_error_class as "lastErrorClass", l.last_error as "lastError", l.cause, ${iso('l.parked_at')} as "parkedAt",
  ${iso('l.resolved_at')} as "resolvedAt", l.resolution, l.resolved_by as "resolvedBy",
  l.resolution_reason as "resolutionReason", l.redirected_to as "redirectedTo"`;

/** Newest first, only ids below `before` (null: from the newest); keyset, so a page costs the same however deep it is. */
export async function listDeadLetters(
  db: Queryable,
  filter: DeadLetterFilter,
  before: number | null,
  limit: number,
): Promise<DeadLetter[]> {
  const { conditions, values } = conditionsOf(filter);
  values.push(before, limit);
  return rowsOf<DeadLetter>(
    db,
    `select ${columns} from outbox.dead_letters l
     where ${conditions.join(' and ')} and ($${values.length - 1}::bigint is null or l.id < $${values.length - 1})
     order by l.id desc limit $${values.length}`,
    values,
  );
}

export interface ParkedSince {
  readonly destination: string;
  /** Milliseconds since the first of its open letters was parked. */
  readonly oldestMs: number;
}

/** One index probe for each destination, however many are parked there. */
export async function readParkedSince(db: Queryable): Promise<ParkedSince[]> {
  return rowsOf<ParkedSince>(
    db,
    `select d.name as destination, (extract(epoch from now() - l.parked_at) * 1000)::float8 as "oldestMs"
     from outbox.destinations d
     cross join lateral (select parked_at from outbox.dead_letters
                         where destination = d.name and resolved_at is null order by id limit 1) l`,
  );
}

/** Only what the filter asks for becomes SQL: `resolved_at is null` as written is what the partial index answers to. */
function conditionsOf(filter: DeadLetterFilter): { conditions: string[]; values: unknown[] } {
  const conditions = ['true'];
  const values: unknown[] = [];
  const add = (condition: string, value: string | undefined): void => {
    if (value === undefined) return;
    values.push(value);
    conditions.push(condition.replace('?', `$${values.length}`));
  };
  if (filter.status !== 'all')
    conditions.push(`l.resolved_at is ${filter.status === 'open' ? '' : 'not '}null`);
  add('l.destination = ?', filter.destination);
  add('l.reason = ?', filter.reason);
  add('l.cause = ?', filter.cause);
  add('l.event_id = ?::uuid', filter.eventId);
  // As a redrive's `text`, which is to find the same ones.
  add(
    'exists (select from (select ?::text as x) t where l.last_error ilike t.x or l.cause in (select c.id from outbox.causes c where c.error ilike t.x))',
    filter.text === undefined ? undefined : `%${filter.text.replace(/[\\%_]/g, '\\$&')}%`,
  );
  add('l.event_type like ?', filter.type === undefined ? undefined : likePattern(filter.type));
  return { conditions, values };
}

/** Those that exist, in no order. */
export async function findDeadLetters(db: Queryable, ids: readonly number[]): Promise<DeadLetter[]> {
  return rowsOf<DeadLetter>(
    db,
    `select ${columns} from outbox.dead_letters l where l.id = any ($1::bigint[])`,
    [ids],
  );
}

/** The event of a dead letter as it was to be sent: under the dead letter's revision. */
export interface DeadLetterEvent {
  readonly key: string | null;
  readonly source: string | null;
  readonly subject: string | null;
  readonly contentType: string;
  readonly createdAt: string;
  readonly deliverAt: string | null;
  /** JSON as PostgreSQL prints it; null of bytes. */
  readonly payloadText: string | null;
  /** Null of JSON. */
  readonly payloadBase64: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Undefined when the event is no longer in the database. */
export async function readDeadLetterEvent(db: Queryable, id: number): Promise<DeadLetterEvent | undefined> {
  return firstOf<DeadLetterEvent>(
    db,
    `select e.key, e.source, e.subject, e.content_type as "contentType", ${iso('e.created_at')} as "createdAt",
            ${iso('e.deliver_at')} as "deliverAt", case when r.event_id is null then e.payload else r.payload end::text as "payloadText",
            ${base64('case when r.event_id is null then e.payload_bytes else r.payload_bytes end')} as "payloadBase64",
            coalesce(r.headers, e.headers) as headers
     from outbox.dead_letters l
     cross join lateral (select * from outbox.events where id = l.event_id
                         union all select * from outbox.events_kept where id = l.event_id limit 1) e
     left join outbox.revisions r
       on r.event_id = l.event_id and r.destination = l.destination and r.revision = l.revision
     where l.id = $1`,
    [id],
  );
}

/** What the receiver said at the latest failed attempt of each, by its number; letters without such words are left out. */
export async function readLastWords(db: Queryable, ids: readonly number[]): Promise<Map<number, string>> {
  const rows = await rowsOf<{ id: number; excerpt: string }>(
    db,
    `select l.id::float8 as id, a.excerpt
     from outbox.dead_letters l
     cross join lateral (select excerpt from outbox.attempts a
                         where a.event_id = l.event_id and a.destination = l.destination and a.error_class is not null and a.at <= l.parked_at
                         order by a.at desc, a.try desc limit 1) a
     where l.id = any ($1::bigint[]) and a.excerpt <> ''`,
    [ids],
  );
  return new Map(rows.map(({ id, excerpt }) => [id, excerpt]));
}

/** A failed attempt, or the success that ended them. */
export interface RecordedAttempt {
  readonly at: string;
  readonly try: number;
  readonly revision: number;
  readonly status: number | null;
  /** Null, as is the message, for the attempt that was acknowledged after others had failed. */
  readonly errorClass: string | null;
  readonly message: string | null;
  /** What the receiver answered, cut. */
  readonly excerpt: string | null;
  readonly durationMs: number | null;
  /** Where it was sent, without query and credentials. */
  readonly address: string | null;
  /** With which headers, secrets left out. */
  readonly headers: Readonly<Record<string, string>> | null;
  /** Whether it was charged to maximumAttempts; being unreachable is not. */
  readonly charged: boolean;
}

/** The latest `limit` attempts of a delivery that were written down, oldest first: those of days that were dropped while it was unsettled too. */
export async function readAttempts(
  db: Queryable,
  eventId: string,
  destination: string,
  limit: number,
): Promise<RecordedAttempt[]> {
  const latest = await rowsOf<RecordedAttempt>(
    db,
    `select ${iso('a.at')} as at, a.try, a.revision, a.status, a.error_class as "errorClass", a.message, a.excerpt,
            a.duration_ms as "durationMs", a.charged, a.address, a.headers
     from (select * from outbox.attempts where event_id = $1 and destination = $2
           union select * from outbox.attempts_kept where event_id = $1 and destination = $2) a
     order by a.at desc, a.try desc limit $3`,
    [eventId, destination, limit],
  );
  return latest.reverse();
}

/** All park episodes of a delivery, oldest first. */
export async function readEpisodes(
  db: Queryable,
  eventId: string,
  destination: string,
): Promise<DeadLetter[]> {
  return rowsOf<DeadLetter>(
    db,
    `select ${columns} from outbox.dead_letters l where l.event_id = $1 and l.destination = $2 order by l.park_no`,
    [eventId, destination],
  );
}

/** The latest commands to the workflows that held this delivery, those that named other events left out; oldest first. */
export async function readAudit(
  db: Queryable,
  { eventId, destination }: Pick<DeadLetter, 'eventId' | 'destination'>,
  limit: number,
): Promise<AuditLine[]> {
  const latest = await rowsOf<AuditLine>(
    db,
    `select ${auditColumns}
     from outbox.audit a
     where a.workflow_id in (select workflow_id from outbox.dead_letters where event_id = $1 and destination = $2)
       and (a.event_id is null or a.event_id = $1)
     order by a.id desc limit $3`,
    [eventId, destination, limit],
  );
  return latest.reverse();
}

/** How a delivery stands now: its row's state, `delivered`, or null when neither exists (discarded, redirected, long gone). */
export async function readDeliveryState(
  db: Queryable,
  eventId: string,
  destination: string,
): Promise<string | null> {
  const row = await firstOf<{ state: string }>(
    db,
    `select state from outbox.deliveries where event_id = $1 and destination = $2
     union all select 'delivered' from outbox.delivered where event_id = $1 and destination = $2 limit 1`,
    [eventId, destination],
  );
  return row?.state ?? null;
}
