/** What holds PostgreSQL up, as its own views tell it. For doctor: none of this is on a busy path. */
import { firstOf, rowsOf, type Queryable } from './connect.ts';

export interface HorizonHolder {
  readonly pid: number;
  readonly application: string;
  readonly user: string;
  /** `active`, `idle in transaction`, …; null where this user may not see it. */
  readonly state: string | null;
  /** Since its transaction began; null where this user may not see it. */
  readonly ageMs: number | null;
}

/** The oldest transaction in this database that keeps dead rows from being removed; undefined when there is none but our own. */
export async function oldestTransaction(db: Queryable): Promise<HorizonHolder | undefined> {
  return firstOf<HorizonHolder>(
    db,
    `select pid, application_name as application, coalesce(usename, '?') as "user", state,
            (extract(epoch from clock_timestamp() - xact_start) * 1000)::float8 as "ageMs"
     from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and (backend_xmin is not null or backend_xid is not null)
     order by greatest(age(backend_xmin), age(backend_xid)) desc nulls last, xact_start limit 1`,
  );
}

export interface PreparedTransaction {
  readonly gid: string;
  readonly owner: string;
  readonly ageMs: number;
}

/** Two-phase transactions that nobody has ended, oldest first. */
export async function preparedTransactions(db: Queryable): Promise<PreparedTransaction[]> {
  return rowsOf<PreparedTransaction>(
    db,
    `select gid, owner, (extract(epoch from clock_timestamp() - prepared) * 1000)::float8 as "ageMs"
     from pg_prepared_xacts where database = current_database() order by prepared`,
  );
}

export interface IdleSlot {
  readonly name: string;
  /** Log that is kept for it; null when it holds none. */
  readonly retainedBytes: number | null;
}

/** Replication slots that nobody reads: they keep log, and logical ones dead rows. */
export async function idleSlots(db: Queryable): Promise<IdleSlot[]> {
  return rowsOf<IdleSlot>(
    db,
    `select slot_name as name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 as "retainedBytes"
     from pg_replication_slots where not active order by 2 desc nulls last, 1`,
  );
}

export interface DeadRows {
  readonly table: string;
  readonly live: number;
  readonly dead: number;
}

/** Tables of ours with more dead rows than live ones, and many. */
export async function tablesFullOfDeadRows(db: Queryable, atLeast: number): Promise<DeadRows[]> {
  return rowsOf<DeadRows>(
    db,
    `select relname as table, n_live_tup::float8 as live, n_dead_tup::float8 as dead from pg_stat_user_tables
     where schemaname = 'outbox' and n_dead_tup >= $1 and n_dead_tup > n_live_tup order by n_dead_tup desc limit 5`,
    [atLeast],
  );
}

/** How far this machine's clock is ahead of the database's, milliseconds; negative when behind. Exact to half a round trip. */
export async function clockAheadMs(db: Queryable): Promise<{ aheadMs: number; roundTripMs: number }> {
  const sentAt = Date.now();
  const row = await firstOf<{ at: number }>(
    db,
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as at',
  );
  const roundTripMs = Date.now() - sentAt;
  return { aheadMs: sentAt + roundTripMs / 2 - (row?.at ?? sentAt), roundTripMs };
}

export interface LockTable {
  /** Locks that the server's table holds at least, for all databases and sessions together. */
  readonly capacity: number;
  readonly perTransaction: number;
  /** Of our table with the most of them, partitions and their indexes: what a statement locks whose plan is kept, as it names no day. */
  readonly table: string;
  /** Days there are now, and as many as there will be once the table is as old as its retention. */
  readonly partitions: number;
  readonly grown: number;
  /** By `grown`. */
  readonly locks: number;
  /** Whether what producers and workers do all the time is planned for its own days, as outbox.keeps_many_days has it. */
  readonly pruned: boolean;
  /** Sessions in this database now, and as many as the processes of ours that live may open. */
  readonly sessions: number;
}

const sessionsOfProcess = 10;
/** Made ahead of today. */
const daysAhead = 30;

/** How much of the lock table all sessions would take, if each ran a statement over every day at one moment; with the days that the retention asks for. */
export async function readLockTable(db: Queryable): Promise<LockTable> {
  const row = await firstOf<LockTable>(
    db,
    `with days as (
       select p.relname as table, count(*) as partitions,
              greatest(count(*), ceil(extract(epoch from outbox.retention_of(p.relname)) / 86400) + $2) as grown,
              avg(1 + (select count(*) from pg_index x where x.indrelid = i.inhrelid)) as each
       from pg_inherits i join pg_class p on p.oid = i.inhparent
       where p.relnamespace = 'outbox'::regnamespace and p.relkind = 'p' group by p.relname
     )
     select current_setting('max_locks_per_transaction')::float8 * (current_setting('max_connections')::float8
              + current_setting('max_prepared_transactions')::float8) as capacity,
            current_setting('max_locks_per_transaction')::float8 as "perTransaction",
            d.table, d.partitions::float8, d.grown::float8, round(d.grown * d.each)::float8 as locks, outbox.keeps_many_days() as pruned,
            greatest((select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'),
                     $1 * (select count(*) from outbox.workers where seen_at > now() - interval '15 seconds'))::float8 as sessions
     from days d order by d.grown * d.each desc limit 1`,
    [sessionsOfProcess, daysAhead],
  );
  if (row === undefined) throw new Error('outbox has no partitioned table');
  return row;
}
