import type { SentRequest } from '../core/outcome.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';

/** The fencing token: one execution of one batch. Every write names it and does nothing once it is not the latest. */
export interface BatchRun {
  readonly batchId: string;
  readonly run: number;
}

export interface OpenedBatch extends BatchRun {
  readonly lane: string;
  /** Executions before this one, in a row, that ended without any outcome, and with their process. */
  readonly fruitless: number;
  readonly configRevision: number;
  /** Nothing may be sent to its destination now: paused, or its circuit is not closed. */
  readonly held: boolean;
  /** Workers were lost over it, or over what they did beside it: it is attempted in its turn (see {@link beginAlone}). */
  readonly suspect: boolean;
}

export interface DeliveryRow {
  readonly seq: string;
  readonly eventId: string;
  readonly destination: string;
  readonly revision: number;
  readonly tries: number;
  readonly attempts: number;
  /** Unreachable tries in a row. */
  readonly unreachable: number;
  /** Milliseconds since its first attempt; null before it. */
  readonly sinceFirstMs: number | null;
  /** The key within which it is sent in order; null for no order. */
  readonly orderKey: string | null;
  /** Null when the event itself is gone from the database. */
  readonly type: string | null;
  readonly key: string | null;
  readonly source: string | null;
  readonly subject: string | null;
  readonly contentType: string;
  /** When it was written, milliseconds since 1970. */
  readonly createdMs: number;
  /** JSON as PostgreSQL prints it; null of an event of bytes, and of one that is gone. */
  readonly payload: string | null;
  /** Null of an event of JSON, and of one that is gone. */
  readonly payloadBytes: Uint8Array | null;
  readonly headers: string;
  /** What the destination's `paths` found; null where it has none. */
  readonly extracted: Readonly<Record<string, string | null>> | null;
}

/** A batch's run and the first rows to send in it. */
export interface OpenedRows {
  readonly batch: OpenedBatch;
  readonly rows: readonly DeliveryRow[];
}

/** The success that followed a failure. One at the first try is not written down but in outbox.delivered. */
export interface LateSuccessRow extends Partial<SentRequest> {
  readonly seq: string;
  /** Null where the protocol has none. */
  readonly status: number | null;
  readonly durationMs: number;
}

export interface FailureRow extends Partial<SentRequest> {
  readonly seq: string;
  readonly eventId: string;
  readonly destination: string;
  /** The tries the row had when it was loaded; a repeated write finds more and changes nothing. */
  readonly tries: number;
  readonly charged: boolean;
  /** Reason to park, or null to retry after delayMs. */
  readonly park: string | null;
  readonly delayMs: number;
  readonly status: number | null;
  readonly errorClass: string;
  readonly message: string;
  readonly excerpt: string | null;
  readonly durationMs: number;
}

/** A workflow split off a batch, to be started by the batch's own. */
export interface SplitOff {
  readonly workflowId: string;
  readonly lane: string;
  readonly eventId: string | null;
  readonly eventType: string | null;
}

/** A delivery that is retrying or parked, as its workflow's page shows it. */
export interface HeldDelivery {
  readonly eventId: string;
  readonly eventType: string | null;
  readonly destination: string;
  readonly state: 'retry' | 'parked';
  readonly tries: number;
  readonly attempts: number;
  readonly revision: number;
  readonly deadLetterId: number | null;
  /** Id of its cause; absent in what an earlier version answered. */
  readonly cause?: string | null;
  readonly reason: string | null;
  readonly parkedAt: string | null;
  readonly status: number | null;
  readonly errorClass: string | null;
  readonly dueAt: string | null;
}

/** What is left of a workflow's batch. */
export interface BatchSummary {
  readonly left: number;
  readonly unsent: number;
  readonly retrying: number;
  /** Until the first retry is due; negative when overdue, null when none waits. */
  readonly nextDueMs: number | null;
  readonly parked: number;
  /** The first 20 of what is retrying or parked. */
  readonly rows: readonly HeldDelivery[];
  /** Where a person goes on who finds something parked; null while nothing is. Absent in what an earlier version answered. */
  readonly links?: {
    /** How people reach the dashboard. */
    readonly dashboard: string | null;
    /** By destination. */
    readonly runbooks: Readonly<Record<string, string>> | null;
  } | null;
  readonly singles: readonly SplitOff[];
}

export interface Chunk {
  /** Rows at most. */
  readonly rows: number;
  /** Payload bytes, about: at least one row comes, however large. */
  readonly bytes: number;
}

/** What is loaded at a time. A worker holds two of these per batch, one being sent and one loading. */
export const chunk: Chunk = { rows: 500, bytes: 4 * 1024 * 1024 };

/**
 * Opens the next run of the workflow's batch and loads its first rows, in one round trip; undefined when nothing is left. One process
 * that opens a batch again and again was not lost over it. Of a suspect no row is loaded.
 */
export async function openBatch(
  db: Queryable,
  workflowId: string,
  processId: string,
  { rows: limit, bytes }: Chunk,
): Promise<OpenedRows | undefined> {
  const rows = await rowsOf<OpenedBatch & { [Column in keyof DeliveryRow]: DeliveryRow[Column] | null }>(
    db,
    `select o.batch_id as "batchId", o.run, o.lane, o.fruitless, o.config_revision as "configRevision", o.held, o.suspect, ${rowColumns}
     from outbox.open_batch($1, $4) o left join lateral outbox.load_rows(o.batch_id, 0, $2, $3) r on not o.suspect order by r.seq`,
    [workflowId, limit, bytes, processId],
  );
  const first = rows[0];
  if (first === undefined) return undefined;
  return { batch: first, rows: first.seq === null ? [] : (rows as DeliveryRow[]) };
}

/** A suspect's turn: from now on the loss of this process counts. Null when fenced. */
export async function beginAlone(
  db: Queryable,
  run: BatchRun,
  processId: string,
): Promise<{ readonly held: boolean } | null> {
  return (
    (await firstOf<{ held: boolean }>(db, 'select held from outbox.begin_alone($1, $2, $3)', [
      run.batchId,
      run.run,
      processId,
    ])) ?? null
  );
}

/**
 * Columns of outbox.load_rows as `r`, and what the templates of a row's destination need of its payload. Where there is no row, which is how
 * most claims end, destinations are not looked at: with 10,000 of them that was 1.6 of 1.8 ms, fifty times a second while nothing happened.
 */
export const rowColumns = `r.seq::text, r.event_id as "eventId", r.destination, r.revision, r.tries, r.attempts, r.unreachable,
  r.since_first_ms as "sinceFirstMs", r.order_key as "orderKey", r.type, r.key, r.source, r.subject, r.content_type as "contentType",
  r.created_ms as "createdMs", r.payload, r.payload_bytes as "payloadBytes", r.headers,
  case when r.destination is not null and r.destination in (select name from outbox.destinations where paths is not null)
       then outbox.extracted(r.destination, r.payload) end as extracted`;

/** The same of what a function loads itself. */
export const loadedColumns = `seq::text, event_id as "eventId", destination, revision, tries, attempts, unreachable, since_first_ms as "sinceFirstMs",
  order_key as "orderKey", type, key, source, subject, content_type as "contentType", created_ms as "createdMs", payload,
  payload_bytes as "payloadBytes", headers, extracted`;

/** The next rows to send after `seq`, in order. */
export async function loadRows(
  db: Queryable,
  batchId: string,
  after: string,
  { rows: limit, bytes }: Chunk,
): Promise<DeliveryRow[]> {
  return rowsOf<DeliveryRow>(db, `select ${rowColumns} from outbox.load_rows($1, $2, $3, $4) r`, [
    batchId,
    after,
    limit,
    bytes,
  ]);
}

/** Of these rows of a batch, in order, those that it still has to send: as many as fit a chunk. */
export async function loadClaimed(
  db: Queryable,
  batchId: string,
  seqs: readonly string[],
  { rows: limit, bytes }: Chunk,
): Promise<DeliveryRow[]> {
  return rowsOf<DeliveryRow>(
    db,
    `select ${rowColumns} from outbox.load_claimed($1, $2::bigint[], $3, $4) r`,
    [batchId, seqs, limit, bytes],
  );
}

/** Returns to the lane what this run has not begun; answers how many rows, null when fenced. */
export async function giveBack(
  db: Queryable,
  run: BatchRun,
  begun: readonly string[],
): Promise<number | null> {
  const row = await firstOf<{ given: number | null }>(
    db,
    'select outbox.give_back($1, $2, $3::bigint[]) as given',
    [run.batchId, run.run, begun],
  );
  return row?.given ?? null;
}

/** Answers false when fenced: a later execution owns the batch. */
export async function acknowledge(
  db: Queryable,
  run: BatchRun,
  seqs: readonly string[],
  keep: boolean,
): Promise<boolean> {
  const row = await firstOf<{ ok: boolean }>(
    db,
    'select outbox.acknowledge($1, $2, $3::bigint[], $4) as ok',
    [run.batchId, run.run, seqs, keep],
  );
  return row?.ok === true;
}

/** Acknowledges as {@link acknowledge}, and writes down the attempts of those that had failed before. */
export async function acknowledgeLate(
  db: Queryable,
  run: BatchRun,
  late: readonly LateSuccessRow[],
  keep: boolean,
): Promise<boolean> {
  const seqs = late.map(({ seq }) => seq);
  const row = await firstOf<{ ok: boolean }>(
    db,
    'select outbox.acknowledge_late($1, $2, $3::bigint[], $4, $5) as ok',
    [run.batchId, run.run, seqs, keep, JSON.stringify(late)],
  );
  return row?.ok === true;
}

/** Answers false when fenced. */
export async function recordFailures(
  db: Queryable,
  run: BatchRun,
  failures: readonly FailureRow[],
): Promise<boolean> {
  const row = await firstOf<{ ok: boolean }>(db, 'select outbox.record_failures($1, $2, $3) as ok', [
    run.batchId,
    run.run,
    JSON.stringify(failures),
  ]);
  return row?.ok === true;
}

/** Ends an attempt, writing the last acknowledgements with it. Answers null when fenced. */
export async function finishAttempt(
  db: Queryable,
  run: BatchRun,
  seqs: readonly string[],
  { maxSingles, keep }: { readonly maxSingles: number; readonly keep: boolean },
): Promise<BatchSummary | null> {
  const row = await firstOf<{ summary: BatchSummary | null }>(
    db,
    'select outbox.finish_attempt($1, $2, $3, $4::bigint[], $5) as summary',
    [run.batchId, run.run, maxSingles, seqs, keep],
  );
  return row?.summary ?? null;
}

/** The run ends in order, though without an outcome: it does not count towards {@link OpenedBatch.fruitless}. */
export async function forgiveRun(db: Queryable, run: BatchRun): Promise<void> {
  await db.query('select outbox.forgive_run($1, $2)', [run.batchId, run.run]);
}

/** Parks a delivery whose outcome PostgreSQL does not take, with the reason `unwritten`. Answers false when fenced. */
export async function parkUnwritten(
  db: Queryable,
  run: BatchRun,
  seq: string,
  message: string,
): Promise<boolean> {
  const row = await firstOf<{ ok: boolean }>(db, 'select outbox.park_unwritten($1, $2, $3, $4) as ok', [
    run.batchId,
    run.run,
    seq,
    message,
  ]);
  return row?.ok === true;
}

/** Answers null when fenced. */
export async function breakUp(db: Queryable, run: BatchRun): Promise<BatchSummary | null> {
  const row = await firstOf<{ summary: BatchSummary | null }>(
    db,
    'select outbox.break_up($1, $2) as summary',
    [run.batchId, run.run],
  );
  return row?.summary ?? null;
}

/** What the workflow's batch holds now; with `batchId`, also the workflows split off it that have not begun. */
export async function summarize(
  db: Queryable,
  workflowId: string,
  batchId: string | null,
): Promise<BatchSummary> {
  const row = await firstOf<{ summary: BatchSummary }>(
    db,
    `select outbox.batch_summary($1) || jsonb_build_object('singles', outbox.children_of($2)) as summary`,
    [workflowId, batchId],
  );
  if (row === undefined) throw new Error('outbox.batch_summary answered no row');
  return row.summary;
}
