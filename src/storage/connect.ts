import pg from 'pg';
import { OutboxError } from '../errors.ts';
import { assertDatabaseUrl } from './databaseUrl.ts';
import { isSaidByServer, noteBrokenUnderWay, noteFailedConnect, refusesOptions } from './errors.ts';
import { beginOn, needsTransaction, settle, startupOptions } from './session.ts';

export { firstOf, rowsOf, type Queryable } from './rows.ts';

export type Pool = pg.Pool;

export interface ConnectOptions {
  readonly applicationName?: string;
  /** Connections at most. Default 10. */
  readonly max?: number;
  /** What to wait for a connection, and for an answer, milliseconds; `answer: null` waits for ever. Default 10,000 and 60,000. */
  readonly patienceMs?: { readonly connect: number; readonly answer: number | null };
  /** Told about connections that broke while idle; the pool replaces them by itself. */
  readonly onIdleError?: (error: Error) => void;
}

/** The server gives a statement up so much sooner than we do: nothing goes on there that nobody waits for. */
const soonerMs = 2_000;

/**
 * A pool that fails instead of hanging (`pg` by default waits for ever for a connection), that no broken connection can end the process
 * through, and whose statements run under our settings, whatever the defaults of role and database are.
 *
 * @throws OutboxError OUTBOX_DATABASE_URL_INVALID, which repeats nothing of the URL
 */
export function connect(url: string, options: ConnectOptions = {}): Pool {
  assertDatabaseUrl(url);
  const answerMs = options.patienceMs === undefined ? 60_000 : options.patienceMs.answer;
  const wire = { plain: false };
  const settings = {
    connectionString: url,
    max: options.max ?? 10,
    application_name: options.applicationName ?? 'temporal-outbox',
    connectionTimeoutMillis: options.patienceMs?.connect ?? 10_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    // A relay's statements take milliseconds; one that takes a minute is stuck behind something.
    ...(answerMs === null ? {} : { query_timeout: answerMs }),
    Client: clientOf(wire),
    // Waited for, whatever the types say.
    onConnect: (client: pg.ClientBase): unknown =>
      settle(client, answerMs === null ? 0 : Math.max(answerMs - soonerMs, 1_000)),
  };
  const pool = new pg.Pool(settings);
  pool.on('error', options.onIdleError ?? (() => undefined));
  const obtain = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  const connected = async (): Promise<pg.PoolClient> => {
    try {
      return await obtain().catch((error: unknown) => {
        if (wire.plain || !refusesOptions(error)) throw error;
        wire.plain = true;
        return obtain();
      });
    } catch (error) {
      noteFailedConnect(error);
      throw error;
    }
  };
  const query = (text: string, values?: unknown[]): Promise<pg.QueryResult> => queryOnce(pool, text, values);
  return Object.assign<Pool, object>(pool, { connect: connected, query });
}

/** Clients that survive breaking while somebody uses them: the statement under way rejects, and that is enough. */
function clientOf(wire: { readonly plain: boolean }): typeof pg.Client {
  return class extends pg.Client {
    constructor(config?: string | pg.ClientConfig) {
      super(config);
      this.on('error', () => undefined);
      const { connectionParameters } = this as unknown as { connectionParameters: { options?: string } };
      if (!wire.plain)
        connectionParameters.options = [connectionParameters.options, startupOptions]
          .filter(Boolean)
          .join(' ');
    }
  };
}

async function queryOnce(pool: Pool, text: string, values?: unknown[]): Promise<pg.QueryResult> {
  return withClient(pool, async (client) => {
    if (!needsTransaction(client)) return client.query(text, values);
    await client.query(beginOn(client));
    const result = await client.query(text, values);
    await client.query('commit');
    return result;
  });
}

/** A connection that an error of the server leaves well is used again, without what was begun on it; any other is closed. */
async function withClient<T>(pool: Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | boolean = false;
  try {
    return await work(client);
  } catch (error) {
    if (!isSaidByServer(error)) {
      broken = true;
      noteBrokenUnderWay(error);
    } else if (needsTransaction(client)) {
      await client.query('rollback').catch(() => (broken = true));
    }
    throw error;
  } finally {
    client.release(broken);
  }
}

/**
 * Runs `work` in a transaction on one connection; whatever it throws rolls everything back.
 * @throws OutboxError OUTBOX_OUTCOME_UNKNOWN when the connection broke while it was committed
 */
export async function inTransaction<T>(pool: Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(beginOn(client));
    const result = await work(client);
    await client.query('commit').catch((error: unknown) => {
      throw isSaidByServer(error) ? error : unknownOutcome(error);
    });
    return result;
  } catch (error) {
    if (!isSaidByServer(error)) noteBrokenUnderWay(error);
    await client.query('rollback').catch((rollbackError: unknown) => {
      broken = rollbackError instanceof Error ? rollbackError : new Error(String(rollbackError));
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

function unknownOutcome(cause: unknown): OutboxError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new OutboxError(
    'OUTBOX_OUTCOME_UNKNOWN',
    `the connection broke while the changes were committed: they may be done, or none of them (${why})`,
    {
      cause,
      hint: 'Look whether they are there, or run the command again: what was done is not done twice.',
    },
  );
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
