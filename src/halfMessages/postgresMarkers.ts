import type { CheckBackAnswer } from '../core/producer.ts';
import { rowsOf, type SqlClient } from '../produce/client.ts';
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
import { assertMessageId } from './message.ts';

/** One connection, such as a `pg` client. `command` of an answer is how `pg` tells a COMMIT that rolled back. */
export interface PostgresConnection {
  query(
    text: string,
    values: unknown[],
  ): Promise<{ rows: unknown[]; rowCount?: number | null; command?: string }>;
}

/** A `pg` pool: each transaction takes a connection of it. */
export interface PostgresPool<Connection extends PostgresConnection> extends PostgresConnection {
  readonly totalCount: number;
  connect(): Promise<Connection & { release(destroy?: Error | boolean): void }>;
}

const tables = `
  create table if not exists outbox_message_markers (
    id uuid primary key, outcome text not null check (outcome in ('committed', 'rolled-back')), at timestamptz not null default now());
  create table if not exists outbox_message_horizon (only_row boolean primary key default true check (only_row), id uuid not null)`;

/**
 * Markers in a producer's own PostgreSQL. Given a connection, transactions run on it, one at a time; given a pool, each takes one.
 * The tables are looked for by the search path.
 */
export function postgresMarkers<Connection extends PostgresConnection>(
  db: PostgresPool<Connection>,
  options?: MarkerOptions,
): Markers<Connection>;
export function postgresMarkers<Connection extends PostgresConnection>(
  db: Connection,
  options?: MarkerOptions,
): Markers<Connection>;
export function postgresMarkers(
  db: PostgresConnection,
  { lockTimeoutMs = defaultLockTimeoutMs }: MarkerOptions = {},
): Markers<PostgresConnection> {
  return {
    migrate: async () => {
      for (const statement of tables.split(';')) await db.query(statement, []);
    },
    transaction: (id, work) => runTransaction(db, id, work),
    answer: (id) => answer(db, id, lockTimeoutMs),
    forget: ({ olderThanMs = defaultMarkerAgeMs } = {}) => forget(db, firstIdAt(Date.now() - olderThanMs)),
  };
}

async function runTransaction<T>(
  db: PostgresConnection,
  id: string,
  work: (connection: PostgresConnection) => Promise<T>,
): Promise<LocalOutcome<T>> {
  let connection: PostgresConnection & { release?(destroy?: Error | boolean): void };
  try {
    connection = isPool(db) ? await db.connect() : db;
  } catch (error) {
    return { end: 'rolled-back', error };
  }
  const isOurs = connection !== db;
  const emitter = connection as { on?: Listen; off?: Listen };
  // A connection that breaks between two statements says so by an event, which ends the process if nobody listens; the next
  // statement fails all the same.
  if (isOurs) emitter.on?.('error', heard);
  let outcome: LocalOutcome<T> | undefined;
  try {
    outcome = await inTransaction(connection, id, work);
    return outcome;
  } finally {
    // After an unknown end nothing is known of the connection either.
    if (isOurs) connection.release?.(outcome?.end !== 'committed');
    if (isOurs) emitter.off?.('error', heard);
  }
}

type Listen = (event: 'error', listener: () => void) => unknown;

function heard(): void {
  // See above.
}

function isPool(db: PostgresConnection): db is PostgresPool<PostgresConnection> {
  return 'totalCount' in db && 'connect' in db;
}

async function inTransaction<T>(
  connection: PostgresConnection,
  id: string,
  work: (connection: PostgresConnection) => Promise<T>,
): Promise<LocalOutcome<T>> {
  let value: T;
  try {
    await beginWithMarker(connection, id);
    value = await work(connection);
  } catch (error) {
    // COMMIT was never sent: the server rolls back, by this or by the connection's end.
    await connection.query('rollback', []).catch(() => undefined);
    return { end: 'rolled-back', error };
  }
  try {
    const { command } = await connection.query('commit', []);
    if (command === 'ROLLBACK' || (command === undefined && !(await hasMarker(connection, id))))
      return { end: 'rolled-back', error: aborted() };
    return { end: 'committed', value };
  } catch (error) {
    return { end: isCertainRollback(error) ? 'rolled-back' : 'unknown', error };
  }
}

/** One round trip, unless the client's protocol takes only one statement at a time. */
async function beginWithMarker(connection: PostgresConnection, id: string): Promise<void> {
  assertMessageId(id);
  const insert = `insert into outbox_message_markers (id, outcome) values ('${id}', 'committed')`;
  try {
    await connection.query(`begin; ${insert}`, []).catch(async (error: unknown) => {
      if (sqlState(error) !== syntaxError) throw error;
      await connection.query('begin', []);
      await connection.query(insert, []);
    });
  } catch (error) {
    if (sqlState(error) !== uniqueViolation) throw error;
    throw tooLate(id, error);
  }
}

const uniqueViolation = '23505';
/** Of several commands in one prepared statement, too. */
const syntaxError = '42601';

/** An error inside the transaction was caught and ignored: PostgreSQL answers COMMIT with ROLLBACK, and no error. */
function aborted(): Error {
  return new Error('the transaction was rolled back at its commit, as a statement in it had failed');
}

async function hasMarker(connection: PostgresConnection, id: string): Promise<boolean> {
  const { rows } = await connection.query('select 1 from outbox_message_markers where id = $1', [id]);
  return rows.length > 0;
}

/** The server itself says so: constraints checked at commit, serialisation failures. */
function isCertainRollback(error: unknown): boolean {
  return /^(23|40(?!003)|25)/.test(sqlState(error));
}

function sqlState(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

/** With a default isolation above read committed an insert that waited fails, and succeeds when repeated. */
const tries = 3;

/**
 * Statements of their own, each a transaction: on a connection that is in one, the answer would not be final. The insert waits for
 * a local transaction that holds the id, as long as lock_timeout allows, which is set for this statement only.
 */
async function answer(db: SqlClient, id: string, lockTimeoutMs: number): Promise<CheckBackAnswer> {
  for (let left = tries; ; left--) {
    try {
      await db.query(
        `with bounded as materialized (select set_config('lock_timeout', $2, true))
         insert into outbox_message_markers (id, outcome) select $1::uuid, 'rolled-back' from bounded on conflict (id) do nothing`,
        [id, `${lockTimeoutMs}ms`],
      );
      break;
    } catch (error) {
      if (sqlState(error) === '55P03') return 'unknown';
      if (!sqlState(error).startsWith('40') || left === 1) throw error;
    }
  }
  const answer = await db.query(
    `select (select outcome from outbox_message_markers where id = $1) as outcome,
            exists (select 1 from outbox_message_horizon where id > $1) as forgotten`,
    [id],
  );
  const [row] = rowsOf<{ outcome: string | null; forgotten: boolean }>(answer);
  return answerOf(row?.outcome ?? undefined, row?.forgotten === true);
}

async function forget(db: PostgresConnection, before: string): Promise<number> {
  // First, and committed by itself: whoever misses a marker from now on knows why.
  await db.query(
    `insert into outbox_message_horizon (id) values ($1)
     on conflict (only_row) do update set id = greatest(outbox_message_horizon.id, excluded.id)`,
    [before],
  );
  return deleteInPortions(async () => {
    const { rows } = await db.query(
      `with gone as (delete from outbox_message_markers where id in
         (select id from outbox_message_markers where id < $1 order by id limit $2) returning 1)
       select count(*)::int as count from gone`,
      [before, forgetAtOnce],
    );
    return (rows[0] as { count: number }).count;
  });
}
