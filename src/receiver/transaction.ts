import { setTimeout as sleep } from 'node:timers/promises';
import { OutboxError } from '../errors.ts';
import type { SqlClient } from '../inbox/sql.ts';
import { driverErrorOf } from '../storage/driverError.ts';

/** A client of a `pg` pool. */
export interface ReceiverClient extends SqlClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[]; command: string }>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
  release(destroy?: Error | boolean): void;
}

export interface ReceiverPool<Client extends ReceiverClient> {
  connect(): Promise<Client>;
  on?(event: 'error', listener: (error: Error) => void): unknown;
  on?(event: 'connect', listener: (client: Pick<ReceiverClient, 'on'>) => void): unknown;
  listenerCount?(event: 'error'): number;
}

const triesMax = 4;
const ignore = (): void => undefined;

/**
 * Runs `work` in a transaction; again, a few times, where PostgreSQL asks for it: serialization failure or deadlock.
 *
 * @param opening asked before each try: a statement that travels with the `begin`; `work` is given its rows
 */
export async function inTransaction<T, Client extends ReceiverClient>(
  pool: ReceiverPool<Client>,
  isolation: string,
  work: (client: Client, opened: readonly unknown[]) => Promise<T>,
  opening?: () => string,
): Promise<T> {
  const begin = `begin isolation level ${isolation}`;
  for (let tries = 1; ; tries++) {
    try {
      return await tryOnce(pool, opening === undefined ? begin : `${begin}; ${opening()}`, work);
    } catch (error) {
      const { code } = driverErrorOf(error);
      if (tries >= triesMax || (code !== '40001' && code !== '40P01')) throw error;
      await sleep(Math.random() * 10 * 2 ** tries);
    }
  }
}

async function tryOnce<T, Client extends ReceiverClient>(
  pool: ReceiverPool<Client>,
  first: string,
  work: (client: Client, opened: readonly unknown[]) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  // The pool listens to idle clients only: a connection that breaks while the handler does something else would end
  // the process.
  client.on('error', ignore);
  let broken = false;
  try {
    const answers: unknown = await client.query(first);
    // Of several statements `pg` answers a list.
    const last = (Array.isArray(answers) ? answers.at(-1) : answers) as { readonly rows: unknown[] };
    const result = await work(client, last.rows);
    const { command } = await client.query('commit');
    // PostgreSQL answers so, without an error, where an earlier statement had failed.
    if (command !== 'COMMIT')
      throw new OutboxError('OUTBOX_INBOX_NO_TRANSACTION', 'the transaction was rolled back at its end');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => (broken = true));
    throw error;
  } finally {
    client.off('error', ignore);
    client.release(broken);
  }
}

const heard = new WeakSet<object>();

/**
 * A pool of `pg` that nobody listens to ends the process when an idle connection breaks, as in a restart of the database. Nor does anybody listen
 * to a connection that is made and ended by the server in one breath, before who asked for it has it.
 */
export function hearIdleErrors(
  pool: Pick<ReceiverPool<ReceiverClient>, 'on' | 'listenerCount'>,
  tell: (error: Error) => void,
): void {
  if (pool.listenerCount?.('error') === 0) pool.on?.('error', tell);
  if (heard.has(pool)) return;
  heard.add(pool);
  pool.on?.('connect', (client) => void client.on('error', ignore));
}
