import type { CheckBackAnswer } from '../core/producer.ts';
import {
  answerOf,
  defaultLockTimeoutMs,
  defaultMarkerAgeMs,
  deleteInPortions,
  firstIdAt,
  forgetAtOnce,
  tooLate,
  type LocalOutcome,
  type MarkerOptions,
  type Markers,
} from './markers.ts';

/** One connection of `mysql2/promise`, to MySQL or MariaDB, with InnoDB. */
export interface MysqlConnection {
  query(sql: string, values?: unknown): Promise<[unknown, ...unknown[]]>;
}

/** A pool of `mysql2/promise`: each transaction takes a connection of it. */
export interface MysqlPool<Connection extends MysqlConnection> {
  getConnection(): Promise<Connection & { release(): void; destroy(): void }>;
}

const tables = [
  `create table if not exists outbox_message_markers (
     id char(36) character set ascii collate ascii_bin primary key, outcome varchar(16) character set ascii not null,
     at timestamp(3) not null default current_timestamp(3)) engine = InnoDB`,
  `create table if not exists outbox_message_horizon (
     only_row tinyint primary key default 1, id char(36) character set ascii collate ascii_bin not null) engine = InnoDB`,
];

/**
 * Markers in a producer's own MySQL or MariaDB. Given a connection, transactions run on it, one at a time; given a pool, each takes
 * one. No statement of yours in the transaction may commit by itself, as those that change tables do.
 */
export function mysqlMarkers<Connection extends MysqlConnection>(
  db: MysqlPool<Connection>,
  options?: MarkerOptions,
): Markers<Connection>;
export function mysqlMarkers<Connection extends MysqlConnection>(
  db: Connection,
  options?: MarkerOptions,
): Markers<Connection>;
export function mysqlMarkers(
  db: MysqlConnection | MysqlPool<MysqlConnection>,
  { lockTimeoutMs = defaultLockTimeoutMs }: MarkerOptions = {},
): Markers<MysqlConnection> {
  const seconds = Math.max(1, Math.ceil(lockTimeoutMs / 1000));
  return {
    migrate: () =>
      withConnection(db, async (connection) => {
        for (const statement of tables) await connection.query(statement);
      }),
    transaction: async (id, work) => {
      try {
        return await withConnection(db, (connection) => runTransaction(connection, id, work, seconds));
      } catch (error) {
        // Only for want of a connection: nothing was begun.
        return { end: 'rolled-back', error };
      }
    },
    answer: (id) => withConnection(db, (connection) => answer(connection, id, seconds)),
    forget: ({ olderThanMs = defaultMarkerAgeMs } = {}) =>
      withConnection(db, (connection) => forget(connection, firstIdAt(Date.now() - olderThanMs))),
  };
}

async function withConnection<T>(
  db: MysqlConnection | MysqlPool<MysqlConnection>,
  work: (connection: MysqlConnection) => Promise<T>,
): Promise<T> {
  if (!('getConnection' in db)) return work(db);
  const connection = await db.getConnection();
  let result: T;
  try {
    result = await work(connection);
  } catch (error) {
    // In whatever state it is, nobody else is to have it.
    connection.destroy();
    throw error;
  }
  const isSpent =
    typeof result === 'object' && result !== null && 'end' in result && result.end === 'unknown';
  if (isSpent) connection.destroy();
  else connection.release();
  return result;
}

async function runTransaction<T>(
  connection: MysqlConnection,
  id: string,
  work: (connection: MysqlConnection) => Promise<T>,
  seconds: number,
): Promise<LocalOutcome<T>> {
  let value: T;
  try {
    await connection.query('start transaction');
    await insertMarker(connection, id);
    value = await work(connection);
    // A deadlock or a full redo log rolls all of it back, and statements after it count by themselves: whoever swallowed that
    // error must not have the message committed.
    if ((await markerOf(connection, id)) === undefined)
      throw new Error('the transaction was rolled back by the server, as a statement in it had failed');
  } catch (error) {
    return { end: await endAfter(connection, id, seconds), error };
  }
  try {
    await connection.query('commit');
    return { end: 'committed', value };
  } catch (error) {
    return { end: 'unknown', error };
  }
}

/** A statement may have committed by itself; so the rollback is made final in the same way as a check-back would. */
async function endAfter(
  connection: MysqlConnection,
  id: string,
  seconds: number,
): Promise<'rolled-back' | 'unknown'> {
  try {
    await connection.query('rollback');
    return (await answer(connection, id, seconds)) === 'rolled-back' ? 'rolled-back' : 'unknown';
  } catch {
    return 'unknown';
  }
}

async function insertMarker(connection: MysqlConnection, id: string): Promise<void> {
  try {
    await connection.query(`insert into outbox_message_markers (id, outcome) values (?, 'committed')`, [id]);
  } catch (error) {
    if (errorNumber(error) !== duplicateEntry) throw error;
    throw tooLate(id, error);
  }
}

const duplicateEntry = 1062;
const lockWaitTimeout = 1205;
const deadlock = 1213;

function errorNumber(error: unknown): number {
  const { errno } = (error ?? {}) as { errno?: unknown };
  return typeof errno === 'number' ? errno : 0;
}

async function rowsOf<Row>(connection: MysqlConnection, sql: string, values: unknown[]): Promise<Row[]> {
  const [rows] = await connection.query(sql, values);
  return rows as Row[];
}

async function markerOf(connection: MysqlConnection, id: string): Promise<string | undefined> {
  const sql = 'select outcome from outbox_message_markers where id = ?';
  return (await rowsOf<{ outcome: string }>(connection, sql, [id]))[0]?.outcome;
}

/**
 * In a transaction of its own, whatever `autocommit` is. The insert waits for a local transaction that holds the id: by default 50
 * s, so the session's limit is lowered for it. Of two answers that waited for the same rollback InnoDB may end one as a deadlock.
 */
async function answer(connection: MysqlConnection, id: string, seconds: number): Promise<CheckBackAnswer> {
  const [limit] = await rowsOf<{ seconds: number }>(
    connection,
    'select @@session.innodb_lock_wait_timeout as seconds',
    [],
  );
  await connection.query('set session innodb_lock_wait_timeout = ?', [seconds]);
  try {
    await connection.query('start transaction');
    await connection.query(
      `insert into outbox_message_markers (id, outcome) values (?, 'rolled-back') on duplicate key update id = id`,
      [id],
    );
    const outcome = await markerOf(connection, id);
    const forgotten = await rowsOf(connection, 'select 1 from outbox_message_horizon where id > ?', [id]);
    await connection.query('commit');
    return answerOf(outcome, forgotten.length > 0);
  } catch (error) {
    await connection.query('rollback').catch(() => undefined);
    if ([lockWaitTimeout, deadlock].includes(errorNumber(error))) return 'unknown';
    throw error;
  } finally {
    await connection
      .query('set session innodb_lock_wait_timeout = ?', [limit?.seconds ?? 50])
      .catch(() => undefined);
  }
}

async function forget(connection: MysqlConnection, before: string): Promise<number> {
  // First, and committed by itself: whoever misses a marker from now on knows why.
  await connection.query('start transaction');
  await connection.query(
    `insert into outbox_message_horizon (only_row, id) values (1, ?) on duplicate key update id = greatest(id, ?)`,
    [before, before],
  );
  await connection.query('commit');
  return deleteInPortions(async () => {
    await connection.query('start transaction');
    const [result] = await connection.query(
      `delete from outbox_message_markers where id < ? order by id limit ${forgetAtOnce}`,
      [before],
    );
    await connection.query('commit');
    return (result as { affectedRows: number }).affectedRows;
  });
}
