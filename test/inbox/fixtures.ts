/** A consumer's database: the inbox, and effects to be counted. */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { migrateInbox, type MigrateInboxOptions } from '../../src/inbox/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/index.ts';

export interface ConsumerDatabase extends TestDatabase {
  /** Messages whose effect is there, in the order of the effects; a double effect is listed twice. */
  effects(): Promise<string[]>;
  /** Runs `work` on a connection of its own and releases it; an open transaction is rolled back. */
  session<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T>;
}

export async function consumerDatabase(options: MigrateInboxOptions = {}): Promise<ConsumerDatabase> {
  const database = await createTestDatabase({ migrated: false });
  await migrateInbox(database.pool, options);
  // Nothing here is unique: what is applied twice shows.
  await database.pool.query('create table effects (number serial, message text not null)');
  return {
    ...database,
    effects: async () =>
      (await database.rows<{ message: string }>('select message from effects order by number')).map(
        ({ message }) => message,
      ),
    session: async (work) => {
      const client = await database.pool.connect();
      try {
        return await work(client);
      } finally {
        if (client.getTransactionStatus() !== 'I') await client.query('rollback').catch(() => undefined);
        client.release();
      }
    },
  };
}

/** A UUIDv7 of that moment. */
export function uuid7(atMs = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(atMs, 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

export async function effect(client: pg.ClientBase, message: string): Promise<void> {
  await client.query('insert into effects (message) values ($1)', [message]);
}

export const day = 86_400_000;

/** A promise to be settled from outside; Node 20 has no Promise.withResolvers. */
export function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}
