import { firstOf, rowsOf, type Queryable } from './connect.ts';
import { iso } from './isoColumn.ts';

export interface AgedPartition {
  readonly parent: 'events' | 'delivered' | 'attempts';
  /** `events_20300131` */
  readonly name: string;
  /** `detaching`: a detach was broken off. `detached`: only the drop is missing. */
  readonly state: 'attached' | 'detaching' | 'detached';
  readonly bytes: number;
}

/** Days past their retention that are still there, oldest first. */
export async function partitionsPastRetention(db: Queryable): Promise<AgedPartition[]> {
  return rowsOf<AgedPartition>(
    db,
    'select parent, name, state, bytes::float8 as bytes from outbox.partitions_past_retention()',
  );
}

/** Whether this connection's user owns the tables: only owners may detach concurrently. */
export async function mayDetach(db: Queryable): Promise<boolean> {
  const row = await firstOf<{ may: boolean }>(db, 'select outbox.may_detach() as may');
  return row?.may === true;
}

/**
 * One at a time in a database: false when another has it. Held by this transaction, so it ends with it, however that ends, and a
 * pooler that lends connections for a transaction each neither loses nor keeps it.
 */
export async function takeHouseLock(db: Queryable): Promise<boolean> {
  const row = await firstOf<{ taken: boolean }>(
    db,
    'select pg_try_advisory_xact_lock(1869968482, 3000001) as taken',
  );
  // It lasts as long as the pass and holds nothing else: no snapshot, no table. Nobody is to end it for being idle.
  await db.query('set local idle_in_transaction_session_timeout = 0');
  return row?.taken === true;
}

/** For the statements of this transaction, which give up rather than hold others up. */
export async function limitWaiting(db: Queryable, lockMs: number, statementMs: number): Promise<void> {
  await db.query(`select set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)`, [
    `${lockMs}ms`,
    `${statementMs}ms`,
  ]);
}

/** Copies unsettled rows of a day aside, at most `limit`; answers how many. */
export async function keepUnsettled(db: Queryable, name: string, limit: number): Promise<number> {
  const row = await firstOf<{ kept: number }>(db, 'select outbox.keep_unsettled($1, $2) as kept', [
    name,
    limit,
  ]);
  return row?.kept ?? 0;
}

/**
 * Outside of a transaction, as an owner. The names are those of {@link partitionsPastRetention}; `tag` is for {@link cancelDetach}: no
 * limit can be set for it but on the whole connection, which behind a pooler is somebody else's a moment later.
 */
export async function detachConcurrently(
  db: Queryable,
  { parent, name }: Pick<AgedPartition, 'parent' | 'name'>,
  tag: string,
): Promise<void> {
  await db.query(`alter table outbox.${parent} detach partition outbox."${name}" concurrently /* ${tag} */`);
}

/** Ends the detach of that tag if it waits for somebody's lock; answers whether it did. */
export async function cancelDetach(db: Queryable, tag: string): Promise<boolean> {
  const row = await firstOf<{ ended: boolean }>(
    db,
    `select coalesce(bool_or(pg_cancel_backend(pid)), false) as ended from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and state = 'active' and wait_event_type = 'Lock'
       and query like '%detach partition%concurrently /* ' || $1 || ' */'`,
    [tag],
  );
  return row?.ended === true;
}

export async function finishDetach(db: Queryable, name: string): Promise<void> {
  await db.query('select outbox.finish_detach($1)', [name]);
}

export async function dropDetached(db: Queryable, name: string): Promise<void> {
  await db.query('select outbox.drop_detached($1)', [name]);
}

/** For those who are no owners: one transaction, its lock on the parent given up after 100 ms. */
export async function dropPartitionBriefly(db: Queryable, name: string): Promise<void> {
  await db.query('select outbox.drop_partition_briefly($1)', [name]);
}

/** Rows deleted one by one, in this order; the days of the partitioned tables are dropped before. */
export const purgeable = [
  'deadLetters',
  'audit',
  'revisions',
  'eventsKept',
  'attemptsKept',
  'unrouted',
  'dedupKeys',
  'configRevisions',
  'causes',
  'redrives',
] as const;
export type Purgeable = (typeof purgeable)[number];

/** Deletes at most `limit` rows past retention; answers how many. */
export async function purge(db: Queryable, what: Purgeable, limit: number): Promise<number> {
  const row = await firstOf<{ purged: number }>(db, 'select outbox.purge($1, $2) as purged', [what, limit]);
  return row?.purged ?? 0;
}

/** Workflows whose batch is empty: they wait for rows that were erased. */
export async function workflowsWithoutRows(db: Queryable, limit: number): Promise<string[]> {
  const rows = await rowsOf<{ id: string }>(db, 'select outbox.workflows_without_rows($1) as id', [limit]);
  return rows.map(({ id }) => id);
}

export interface Lag {
  /** Claims whose first attempt has been under way for more than ten minutes. */
  readonly staleClaims: number;
  /** Of the oldest delivery that should have been sent and was not: pending, or due. Null when none waits. */
  readonly oldestDueMs: number | null;
}

/** Pending ones by seq, so the age is of the delivery whose turn is next at each destination. */
export async function readLag(db: Queryable): Promise<Lag> {
  const row = await firstOf<Lag>(
    db,
    `select (select count(*) from outbox.batches where active and claimed_at < now() - interval '10 minutes')::float8 as "staleClaims",
            (extract(epoch from now() - least(
               (select min(outbox.uuid7_time(p.event_id)) from outbox.destinations n cross join lateral (
                  select event_id from outbox.deliveries where destination = n.name and state = 'pending' order by seq limit 1) p
                where n.paused_at is null),
               (select min(due_at) from outbox.deliveries where state = 'scheduled' and due_at < now()),
               (select min(due_at) from outbox.deliveries where batch_id is not null and state = 'retry' and due_at < now()))) * 1000)::float8
              as "oldestDueMs"`,
  );
  return row ?? { staleClaims: 0, oldestDueMs: null };
}

/** How the latest pass stands, for whoever looks. */
export interface LatestPass<Report> {
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  /** What it is doing; null when it is over. */
  readonly step: string | null;
  /** Of the last one that came to its end. */
  readonly report: Report | null;
}

export async function readLatestPass<Report>(db: Queryable): Promise<LatestPass<Report>> {
  const row = await firstOf<LatestPass<Report>>(
    db,
    `select ${iso('started_at')} as "startedAt", ${iso('finished_at')} as "finishedAt", step, report from outbox.housekeeping`,
  );
  return row ?? { startedAt: null, finishedAt: null, step: null, report: null };
}

export async function notePassBegun(db: Queryable): Promise<void> {
  await db.query(`update outbox.housekeeping set started_at = now(), finished_at = null, step = 'starting'`);
}

export async function notePassStep(db: Queryable, step: string): Promise<void> {
  await db.query('update outbox.housekeeping set step = $1', [step]);
}

export async function notePassOver(db: Queryable, report: object): Promise<void> {
  await db.query(
    'update outbox.housekeeping set finished_at = now(), ended_at = now(), step = null, report = $1',
    [JSON.stringify(report)],
  );
}

export interface Retention {
  readonly what: string;
  readonly keepMs: number;
}

export async function readRetention(db: Queryable): Promise<Retention[]> {
  return rowsOf<Retention>(
    db,
    `select what, (extract(epoch from keep) * 1000)::float8 as "keepMs" from outbox.retention order by array_position(
       array['events', 'delivered', 'attempts', 'deadLetters', 'audit', 'dedupKeys'], what)`,
  );
}
