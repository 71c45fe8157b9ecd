import pg from 'pg';
import { expect, test } from 'vitest';
import { maintainInbox, migrateInbox, processOnce } from '../../src/inbox/index.ts';
import { inTransaction } from '../../src/storage/connect.ts';
import { takeHouseLock } from '../../src/storage/housekeeping.ts';
import { atEnd, createTestDatabase, uniqueName } from '../support/index.ts';
import { consumerDatabase, day, uuid7 } from './fixtures.ts';

test('migrates once, however often and by how many at once', async () => {
  const { pool, rows } = await createTestDatabase({ migrated: false });
  await Promise.all(Array.from({ length: 4 }, () => migrateInbox(pool)));
  const newest = await migrateInbox(pool);
  expect(newest).toEqual({ from: newest.to, to: newest.to, applied: [] });
  expect(await rows('select count(*)::int as count from outbox_inbox.migrations')).toEqual([
    { count: newest.to },
  ]);
});

test('in a transaction of the caller it is part of that', async () => {
  const { pool, rows } = await createTestDatabase({ migrated: false });
  const client = await pool.connect();
  await client.query('begin');
  expect((await migrateInbox(client)).applied.length).toBeGreaterThan(0);
  await client.query('rollback');
  client.release();
  expect(await rows(`select to_regnamespace('outbox_inbox') as schema`)).toEqual([{ schema: null }]);
});

test('the retention stays as it is unless it is named', async () => {
  const { pool, rows } = await consumerDatabase({ retentionMs: 45 * day });
  await migrateInbox(pool);
  const days = `select extract(epoch from retention)::int / 86400 as days from outbox_inbox.settings`;
  expect(await rows(days)).toEqual([{ days: 45 }]);
  await migrateInbox(pool, { retentionMs: 60 * day });
  expect(await rows(days)).toEqual([{ days: 60 }]);
});

test.each([0, -1, 1.5, Number.NaN, 3_599_999, 3651 * day, '30 days'])(
  'a retention of %s is refused',
  async (retentionMs) => {
    const { pool } = await createTestDatabase({ migrated: false });
    await expect(migrateInbox(pool, { retentionMs: retentionMs as number })).rejects.toMatchObject({
      code: 'OUTBOX_INBOX_INVALID',
    });
  },
);

test('a consumer needs no more than the role outbox_consumer, and may not forget', async () => {
  const database = await consumerDatabase();
  const user = uniqueName('consumer');
  await database.pool.query(`create role "${user}" login password 'x' in role outbox_consumer`);
  const url = new URL(database.url);
  url.username = user;
  url.password = 'x';
  const pool = new pg.Pool({ connectionString: url.href });
  // Last in, first out: the role can only go when its connections and grants are gone.
  atEnd(() => database.pool.query(`drop role "${user}"`));
  atEnd(() => pool.end());
  const client = await pool.connect();
  await client.query('begin');
  const far = uuid7(Date.now() + 30 * day);
  for (const messageId of [uuid7(), far, 'msg_1'])
    expect(await processOnce(client, { consumer: 'c', messageId }, () => 1)).toMatchObject({
      outcome: 'processed',
    });
  await client.query('commit');
  for (const forbidden of [
    'select outbox_inbox.forget()',
    'delete from outbox_inbox.messages',
    `update outbox_inbox.settings set retention = '1 hour'`,
    'drop table outbox_inbox.messages_foreign',
  ])
    await expect(client.query(forbidden)).rejects.toMatchObject({ code: '42501' });
  client.release();
  await expect(maintainInbox(pool)).rejects.toMatchObject({ code: '42501' });
});

test('no function of the inbox runs as a superuser or can be led astray by a search_path', async () => {
  const { rows } = await consumerDatabase();
  const definers = await rows<{ name: string; config: string[]; super: boolean }>(
    `select p.proname as name, p.proconfig as config, r.rolsuper as super from pg_proc p join pg_roles r on r.oid = p.proowner
     where p.pronamespace = 'outbox_inbox'::regnamespace and p.prosecdef order by 1`,
  );
  expect(definers.map(({ name }) => name)).toEqual(['forget', 'make_partitions']);
  for (const each of definers) {
    expect(each.super).toBe(false);
    expect(each.config).toContain('search_path=pg_catalog, outbox_inbox, pg_temp');
  }
});

test('inbox and outbox live in one database, and know nothing of each other', async () => {
  const database = await createTestDatabase();
  await migrateInbox(database.pool);
  const dependencies = await database.rows(
    `select 1 from pg_proc where pronamespace = 'outbox_inbox'::regnamespace and prosrc ~ 'outbox\\.'`,
  );
  expect(dependencies).toEqual([]);
  // A pass of housekeeping takes minutes: a consumer that needs a new week meanwhile makes it.
  await inTransaction(database.pool, async (client) => {
    expect(await takeHouseLock(client)).toBe(true);
    const made = await database.rows<{ made: number }>(
      `select outbox_inbox.make_partitions(now() + interval '60 days') as made`,
    );
    expect(made[0]?.made).toBeGreaterThan(0);
  });
});
