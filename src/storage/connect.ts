import pg from 'pg';

/** What storage needs of a connection: a pool or a client of `pg`, or anything shaped like one. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[]; rowCount?: number | null }>;
}

export type Pool = pg.Pool;

export interface ConnectOptions {
  readonly applicationName?: string;
  /** Connections at most. Default 10. */
  readonly max?: number;
  /** What to wait for a connection, and for an answer, milliseconds. Default 10,000 and 60,000. */
  readonly patienceMs?: { readonly connect: number; readonly answer: number };
  /** Told about connections that broke while idle; the pool replaces them by itself. */
  readonly onIdleError?: (error: Error) => void;
}

/**
 * A pool that fails instead of hanging: `pg` by default waits for ever for a connection, and ends the process when an
 * idle connection breaks and nobody listens.
 */
export function connect(url: string, options: ConnectOptions = {}): Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 10,
    application_name: options.applicationName ?? 'temporal-outbox',
    connectionTimeoutMillis: options.patienceMs?.connect ?? 10_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    // A relay's statements take milliseconds; one that takes a minute is stuck behind something.
    query_timeout: options.patienceMs?.answer ?? 60_000,
  });
  pool.on('error', options.onIdleError ?? (() => undefined));
  return pool;
}

/** Runs `work` in a transaction on one connection; whatever it throws rolls everything back. */
export async function inTransaction<T>(pool: Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('begin isolation level read committed');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((rollbackError: unknown) => {
      broken = rollbackError instanceof Error ? rollbackError : new Error(String(rollbackError));
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/**
 * Runs `work`, which only reads, with a limit for each statement that PostgreSQL itself keeps: an answer that nobody waits for any more
 * must not go on costing something.
 */
export async function inReadOnly<T>(
  pool: Pool,
  statementMs: number,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return inTransaction(pool, async (client) => {
    await client.query(`set transaction read only; set local statement_timeout = ${Math.trunc(statementMs)}`);
    return work(client);
  });
}

export async function rowsOf<T>(db: Queryable, text: string, values: unknown[] = []): Promise<T[]> {
  const { rows } = await db.query(text, values);
  return rows as T[];
}

export async function firstOf<T>(
  db: Queryable,
  text: string,
  values: unknown[] = [],
): Promise<T | undefined> {
  return (await rowsOf<T>(db, text, values))[0];
}
