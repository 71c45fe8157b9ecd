import { base64 } from './base64Column.ts';
import type { MessageState } from '../core/messageState.ts';
import type { CheckBackAnswer, ProducerConfig } from '../core/producer.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';
import { iso } from './isoColumn.ts';
import { messageColumns } from './messageColumns.ts';
import { auditColumns, type AuditLine } from './audit.ts';
import type { ResolutionAnswer } from './resolutions.ts';

export type MessageStatus = 'open' | 'parked' | 'settled' | 'all';

export interface MessageFilter {
  readonly status: MessageStatus;
  readonly producer?: string;
}

/** As the two partial indexes have it: settled messages, a week of them, are not looked at. */
const isOpen = `(m.state = 'prepared' and m.workflow_id is null or m.workflow_id is not null)`;

const statusCondition: Readonly<Record<MessageStatus, string>> = {
  open: isOpen,
  parked: `m.state = 'parked'`,
  settled: `m.settled_at is not null`,
  all: 'true',
};

/** Newest first, only ids below `before`. */
export async function listMessages(
  db: Queryable,
  { status, producer }: MessageFilter,
  before: string | null,
  limit: number,
): Promise<MessageState[]> {
  return rowsOf<MessageState>(
    db,
    `select ${messageColumns('m.id')} from outbox.prepared_messages m
     where ${statusCondition[status]} and ($1::text is null or m.producer = $1) and ($2::uuid is null or m.id < $2)
     order by m.id desc limit $3`,
    [producer ?? null, before, limit],
  );
}

/** Content of an open message, as PostgreSQL prints it; undefined once it is settled or forgotten. */
export interface MessageContent {
  readonly key: string | null;
  readonly source: string | null;
  readonly subject: string | null;
  readonly contentType: string;
  /** Null of bytes. */
  readonly payloadText: string | null;
  /** Null of JSON. */
  readonly payloadBase64: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

export async function readMessageContent(db: Queryable, id: string): Promise<MessageContent | undefined> {
  return firstOf<MessageContent>(
    db,
    `select key, source, subject, content_type as "contentType", payload::text as "payloadText",
            ${base64('payload_bytes')} as "payloadBase64", headers
     from outbox.prepared_messages where id = $1 and num_nonnulls(payload, payload_bytes) = 1`,
    [id],
  );
}

/** How a message stands; undefined when there is none. */
export async function readMessageState(db: Queryable, id: string): Promise<MessageState | undefined> {
  return firstOf<MessageState>(
    db,
    `select ${messageColumns('m.message_id')} from outbox.message_state($1) m`,
    [id],
  );
}

/** The latest commands that named this message, or were sent to its own workflow; oldest first. */
export async function readMessageAudit(db: Queryable, id: string, limit: number): Promise<AuditLine[]> {
  const latest = await rowsOf<AuditLine>(
    db,
    `select ${auditColumns}
     from outbox.audit a
     where a.workflow_id = outbox.workflow_prefix() || 'preparedMessage/' || $1
        or a.workflow_id = (select workflow_id from outbox.prepared_messages where id = $1::uuid) and a.event_id = $1::uuid
     order by a.id desc limit $2`,
    [id, limit],
  );
  return latest.reverse();
}

export interface MessageCounts {
  readonly producer: string;
  readonly prepared: number;
  /** Of those, whose grace time is over: a workflow asks back, or should. */
  readonly overdue: number;
  readonly parked: number;
  /** Of the oldest open one, since it was prepared; null when none is open. */
  readonly oldestMs: number | null;
  /** How late the check-back is that is due the longest: nobody asks. 0 when none is due. */
  readonly checkLateMs: number;
}

/** Open messages by producer, producers without any included. */
export async function countMessages(db: Queryable): Promise<MessageCounts[]> {
  return rowsOf<MessageCounts>(
    db,
    `select p.name as producer, coalesce(c.prepared, 0)::float8 as prepared, coalesce(c.overdue, 0)::float8 as overdue,
            coalesce(c.parked, 0)::float8 as parked, (extract(epoch from now() - c.oldest) * 1000)::float8 as "oldestMs",
            coalesce(extract(epoch from now() - c.due) * 1000, 0)::float8 as "checkLateMs"
     from outbox.producers p
     left join (select producer, count(*) filter (where state = 'prepared') as prepared,
                       count(*) filter (where state = 'prepared' and (workflow_id is not null or next_check_at <= now())) as overdue,
                       count(*) filter (where state = 'parked') as parked, min(prepared_at) as oldest,
                       min(next_check_at) filter (where next_check_at <= now()) as due
                from outbox.prepared_messages m where ${isOpen} group by producer) c on c.producer = p.name
     order by p.name`,
  );
}

export interface StoredProducers {
  readonly revision: number;
  readonly producers: readonly ProducerConfig[];
}

export async function readProducers(db: Queryable): Promise<StoredProducers> {
  const rows = await rowsOf<{ revision: number; config: ProducerConfig | null }>(
    db,
    `select s.config_revision as revision, p.config from outbox.settings s left join outbox.producers p on true order by p.name`,
  );
  return {
    revision: rows[0]?.revision ?? 0,
    producers: rows.flatMap(({ config }) => (config === null ? [] : [config])),
  };
}

export interface ClaimedMessages {
  readonly workflowId: string;
  readonly producer: string;
  readonly size: number;
}

/** Claims messages whose grace time is over: at most one batch for each producer. */
export async function claimMessages(db: Queryable, limit: number): Promise<ClaimedMessages[]> {
  return rowsOf<ClaimedMessages>(
    db,
    `select workflow_id as "workflowId", producer, size from outbox.claim_messages($1)`,
    [limit],
  );
}

/** The fencing token of one execution. */
export interface MessageRun {
  readonly workflowId: string;
  readonly run: number;
}

export interface OpenedMessages extends MessageRun {
  readonly producer: string;
  readonly configRevision: number;
}

/** Opens the next run; undefined when the workflow owns nothing any more. */
export async function openMessages(db: Queryable, workflowId: string): Promise<OpenedMessages | undefined> {
  const row = await firstOf<Omit<OpenedMessages, 'workflowId'>>(
    db,
    `select run, producer, config_revision as "configRevision" from outbox.open_messages($1)`,
    [workflowId],
  );
  return row === undefined ? undefined : { ...row, workflowId };
}

export interface DueMessage {
  readonly id: string;
  readonly type: string;
  readonly key: string | null;
  readonly subject: string | null;
  readonly preparedAt: string;
  readonly checks: number;
}

/** Messages to be asked about now, the longest due first. */
export async function loadDueMessages(
  db: Queryable,
  workflowId: string,
  limit: number,
): Promise<DueMessage[]> {
  return rowsOf<DueMessage>(
    db,
    `select m.id, m.type, m.key, m.subject, ${iso('m.prepared_at')} as "preparedAt", m.checks
     from outbox.prepared_messages m
     where m.workflow_id = $1 and m.state = 'prepared' and m.next_check_at <= now() order by m.next_check_at, m.id limit $2`,
    [workflowId, limit],
  );
}

export interface CheckedMessage {
  readonly id: string;
  /** As it was loaded; a repeated write finds more and counts nothing twice. */
  readonly checks: number;
  readonly answer: CheckBackAnswer;
  /** For people; null with a final answer. */
  readonly detail: string | null;
  /** Until the next check-back; null parks what is unknown. */
  readonly delayMs: number | null;
}

/** Answers false when fenced: a later execution owns the messages. */
export async function settleChecks(
  db: Queryable,
  { workflowId, run }: MessageRun,
  checked: readonly CheckedMessage[],
): Promise<boolean> {
  const row = await firstOf<{ ok: boolean }>(db, 'select outbox.settle_checks($1, $2, $3) as ok', [
    workflowId,
    run,
    JSON.stringify(checked),
  ]);
  return row?.ok === true;
}

/** An open message as its workflow's page shows it: no content. */
export interface OpenMessage {
  readonly id: string;
  readonly type: string;
  readonly producer: string;
  readonly state: 'prepared' | 'parked';
  readonly checks: number;
  readonly preparedAt: string;
  readonly parkedAt: string | null;
  readonly nextCheckAt: string | null;
}

export interface MessageSummary {
  readonly left: number;
  readonly parked: number;
  /** Until the next check-back; negative when overdue, null when none is planned. */
  readonly nextCheckMs: number | null;
  /** The first 20. */
  readonly rows: readonly OpenMessage[];
  /** Workflows of parked messages, to be started by this one. */
  readonly singles: readonly { readonly workflowId: string; readonly producer: string }[];
}

export async function finishChecks(db: Queryable, workflowId: string): Promise<MessageSummary> {
  const row = await firstOf<{ summary: MessageSummary }>(db, 'select outbox.finish_checks($1) as summary', [
    workflowId,
  ]);
  if (row === undefined) throw new Error('outbox.finish_checks answered no row');
  return row.summary;
}

/** Carries a command out on the open messages of a workflow, or (null) on those it names; a line in outbox.audit whatever comes of it. */
export async function resolveMessages(
  db: Queryable,
  workflowId: string | null,
  command: object,
  via: string,
): Promise<ResolutionAnswer> {
  const row = await firstOf<{ answer: ResolutionAnswer }>(
    db,
    'select outbox.resolve_messages($1, $2, $3) as answer',
    [workflowId, JSON.stringify(command), via],
  );
  if (row === undefined) throw new Error('outbox.resolve_messages answered no row');
  return row.answer;
}

/** Workflows whose messages were settled or changed from outside; each is answered once. */
export async function takeNudges(db: Queryable, limit: number): Promise<string[]> {
  const rows = await rowsOf<{ workflowId: string }>(
    db,
    `select n as "workflowId" from outbox.take_nudges($1) n`,
    [limit],
  );
  return rows.map(({ workflowId }) => workflowId);
}

export interface MessageBatchToCheck extends ClaimedMessages {
  readonly single: boolean;
}

/** Batches not looked at for `ageMs`, oldest look first; marks them as looked at. */
export async function messageBatchesToCheck(
  db: Queryable,
  ageMs: number,
  limit: number,
): Promise<MessageBatchToCheck[]> {
  return rowsOf<MessageBatchToCheck>(
    db,
    `select workflow_id as "workflowId", producer, single, size,
       (select b.paused_in_temporal is not null from outbox.message_batches b where b.workflow_id = c.workflow_id) as "pauseNoted"
     from outbox.message_batches_to_check($1 * interval '1 ms', $2) c`,
    [ageMs, limit],
  );
}

/** Whether any message is, or was lately, a workflow's. */
export async function hasMessageBatches(db: Queryable): Promise<boolean> {
  const row = await firstOf<{ any: boolean }>(
    db,
    'select exists (select from outbox.message_batches) as any',
  );
  return row?.any === true;
}

/** What a workflow owns; undefined when it is none of this database's. */
export async function messageBatchOf(
  db: Queryable,
  workflowId: string,
): Promise<MessageBatchToCheck | undefined> {
  return firstOf<MessageBatchToCheck>(
    db,
    `select b.workflow_id as "workflowId", b.producer, b.single,
            (select count(*)::int from outbox.prepared_messages m where m.workflow_id = b.workflow_id) as size
     from outbox.message_batches b where b.workflow_id = $1`,
    [workflowId],
  );
}

/** Forgets a workflow that owns nothing any more. */
export async function dropMessageBatch(db: Queryable, workflowId: string): Promise<void> {
  await db.query('select outbox.drop_message_batch($1)', [workflowId]);
}

/** Removes messages settled longer ago than `ageMs`; answers how many. */
export async function forgetMessages(db: Queryable, ageMs: number, limit: number): Promise<number> {
  const row = await firstOf<{ count: number }>(
    db,
    `select outbox.forget_messages($1 * interval '1 ms', $2) as count`,
    [ageMs, limit],
  );
  return row?.count ?? 0;
}
