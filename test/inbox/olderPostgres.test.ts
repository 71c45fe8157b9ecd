/** The inbox on the oldest PostgreSQL that we support. */
import type pg from 'pg';
import { expect, test } from 'vitest';
import { maintainInbox, migrateInbox, processOnce } from '../../src/inbox/index.ts';
import { startOlderPostgres } from '../support/olderPostgres.ts';
import { day, effect, uuid7 } from './fixtures.ts';

test('the inbox migrates, does each message once, also among twins, and keeps up its partitions', async () => {
  const { pool } = await startOlderPostgres();
  await migrateInbox(pool, { retentionMs: 60 * day });
  expect(await migrateInbox(pool, { retentionMs: 60 * day })).toMatchObject({ applied: [] });
  await pool.query('create table effects (number serial, message text not null)');
  const consume = (messageId: string, isolation = 'read committed') =>
    inTransaction(pool, isolation, async (client) => {
      const consumer = { consumer: 'billing', messageId };
      return (await processOnce(client, consumer, () => effect(client, messageId))).outcome;
    });

  const [old, young, foreign] = [uuid7(Date.now() - 50 * day), uuid7(), 'msg_1'];
  for (const id of [old, young, foreign]) {
    expect(await consume(id)).toBe('processed');
    expect(await consume(id, 'serializable')).toBe('duplicate');
  }
  const twin = uuid7();
  const outcomes = await Promise.all(Array.from({ length: 6 }, () => consume(twin)));
  expect(outcomes.sort()).toEqual([...Array<string>(5).fill('duplicate'), 'processed']);
  const failing = inTransaction(pool, 'read committed', (client) =>
    processOnce(client, { consumer: 'billing', messageId: 'failing' }, () => Promise.reject(new Error('no'))),
  );
  await expect(failing).rejects.toThrow('no');
  expect(await consume('failing')).toBe('processed');

  await migrateInbox(pool, { retentionMs: 20 * day });
  const { dropped } = await maintainInbox(pool);
  expect(dropped.length).toBeGreaterThanOrEqual(5);
  expect(await maintainInbox(pool)).toMatchObject({ made: 0, dropped: [] });
  await expect(consume(old)).rejects.toMatchObject({ code: 'OUTBOX_INBOX_EXPIRED' });
  expect(await consume(young)).toBe('duplicate');
  // A week that nobody made ahead.
  await pool.query(`do $$ declare t text; begin
    select max(relname) into t from pg_class where relnamespace = 'outbox_inbox'::regnamespace and relname ~ '^messages_[0-9]{8}$';
    execute format('drop table outbox_inbox.%I', t);
    update outbox_inbox.settings set newest = outbox_inbox.uuid7_floor(to_date(right(t, 8), 'YYYYMMDD')::timestamp at time zone 'UTC');
  end $$`);
  expect((await maintainInbox(pool)).made).toBe(1);
  const { rows } = await pool.query<{ message: string }>('select message from effects order by number');
  expect(rows.map(({ message }) => message)).toEqual([old, young, foreign, twin, 'failing']);
}, 90_000);

async function inTransaction<T>(
  pool: pg.Pool,
  isolation: string,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query(`begin isolation level ${isolation}`);
    const result = await work(client);
    await client.query('commit');
    return result;
  } finally {
    if (client.getTransactionStatus() !== 'I') await client.query('rollback');
    client.release();
  }
}
