import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import {
  checkInbox,
  longestRetryMs,
  maintainInbox,
  migrateInbox,
  processOnce,
} from '../../src/inbox/index.ts';
import { createTestDatabase } from '../support/index.ts';
import { consumerDatabase, day, effect, uuid7, type ConsumerDatabase } from './fixtures.ts';

async function consume(database: ConsumerDatabase, messageId: string, isolation = 'read committed') {
  return database.session(async (client) => {
    await client.query(`begin isolation level ${isolation}`);
    const done = await processOnce(client, { consumer: 'billing', messageId }, () =>
      effect(client, messageId),
    );
    await client.query('commit');
    return done.outcome;
  });
}

const partitions = async ({ rows }: ConsumerDatabase): Promise<string[]> =>
  (
    await rows<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'outbox_inbox'::regnamespace
         and relname ~ '^messages_[0-9]{8}$' order by 1`,
    )
  ).map(({ name }) => name);

test('a new inbox has partitions from its retention back to five weeks ahead', async () => {
  const database = await consumerDatabase({ retentionMs: 10 * day });
  const names = await partitions(database);
  expect(names.length).toBeGreaterThanOrEqual(7);
  expect(names.length).toBeLessThanOrEqual(9);
  expect(await consume(database, uuid7(Date.now() - 9 * day))).toBe('processed');
  expect(await consume(database, uuid7(Date.now() + 30 * day))).toBe('processed');
});

test('what is forgotten is refused for good, never applied a second time; what is remembered stays', async () => {
  const database = await consumerDatabase({ retentionMs: 60 * day });
  const [old, young, foreign] = [uuid7(Date.now() - 50 * day), uuid7(Date.now() - 10 * day), 'msg_1'];
  for (const id of [old, young, foreign]) expect(await consume(database, id)).toBe('processed');
  const before = await partitions(database);
  expect(await maintainInbox(database.pool)).toMatchObject({ made: 0, dropped: [], deleted: 0 });

  await migrateInbox(database.pool, { retentionMs: 20 * day });
  const done = await maintainInbox(database.pool);
  expect(done.dropped.length).toBeGreaterThanOrEqual(5);
  expect(await partitions(database)).toEqual(before.filter((name) => !done.dropped.includes(name)));
  expect(done.since.getTime()).toBeLessThanOrEqual(Date.now() - 20 * day);
  expect(done.since.getTime()).toBeGreaterThan(Date.now() - 28 * day);
  await expect(consume(database, old)).rejects.toMatchObject({ code: 'OUTBOX_INBOX_EXPIRED' });
  await expect(consume(database, uuid7(0))).rejects.toMatchObject({ code: 'OUTBOX_INBOX_EXPIRED' });
  expect(await consume(database, young)).toBe('duplicate');
  expect(await consume(database, foreign)).toBe('duplicate');

  // Remembering longer again does not bring back what is gone.
  await migrateInbox(database.pool, { retentionMs: 60 * day });
  await maintainInbox(database.pool);
  await expect(consume(database, old)).rejects.toMatchObject({ code: 'OUTBOX_INBOX_EXPIRED' });
  expect(await database.effects()).toEqual([old, young, foreign]);
});

test('a message of a week that is about to be dropped is refused before its partition is gone', async () => {
  const database = await consumerDatabase({ retentionMs: 60 * day });
  const old = uuid7(Date.now() - 50 * day);
  await consume(database, old);
  await migrateInbox(database.pool, { retentionMs: 20 * day });
  await database.pool.query('select outbox_inbox.forget()');
  await expect(consume(database, old)).rejects.toMatchObject({ code: 'OUTBOX_INBOX_EXPIRED' });
  expect(await database.rows('select 1 from outbox_inbox.messages')).toHaveLength(1);
});

test('dropping holds up no consumer, though a transaction is open; cut short, the next run finishes it', async () => {
  const database = await consumerDatabase({ retentionMs: 60 * day });
  await migrateInbox(database.pool, { retentionMs: 20 * day });
  await database.session(async (open) => {
    await open.query('begin');
    await open.query('select count(*) from outbox_inbox.messages');
    const maintaining = database.session(async (client) => {
      await client.query(`set statement_timeout = '1s'`);
      return maintainInbox(client).finally(() => client.query('reset statement_timeout'));
    });
    const during = Array.from({ length: 20 }, () => consume(database, uuid7()));
    expect(new Set(await Promise.all(during))).toEqual(new Set(['processed']));
    await expect(maintaining).rejects.toMatchObject({ code: '57014' });
    await open.query('rollback');
  });
  const left = await database.rows('select 1 from pg_inherits where inhdetachpending');
  expect(left).toHaveLength(1);
  expect((await maintainInbox(database.pool)).dropped.length).toBeGreaterThanOrEqual(5);
  expect(await consume(database, uuid7())).toBe('processed');
});

test.each(['read committed', 'serializable'])(
  'without maintenance consumers make the weeks they need, also at once, under %s',
  async (isolation) => {
    const database = await consumerDatabase({ retentionMs: 10 * day });
    const { pool } = database;
    // As it is after months in which nobody ran anything: the newest partitions are of long ago.
    await pool.query(`
      do $$ declare t text; begin
        for t in select relname from pg_class where relnamespace = 'outbox_inbox'::regnamespace and relname ~ '^messages_[0-9]{8}$'
        loop execute format('drop table outbox_inbox.%I', t); end loop;
      end $$;
      update outbox_inbox.settings set newest = outbox_inbox.uuid7_floor(outbox_inbox.week_of(now() - interval '2 weeks')),
        oldest = outbox_inbox.uuid7_floor(outbox_inbox.week_of(now() - interval '3 weeks'))`);
    const ids = Array.from({ length: 6 }, () => uuid7());
    const outcomes = await Promise.all(
      ids.map(async (id) => {
        for (;;) {
          try {
            return await consume(database, id, isolation);
          } catch (error) {
            if ((error as { code?: string }).code !== '40001') throw error;
          }
        }
      }),
    );
    expect(outcomes).toEqual(Array<string>(6).fill('processed'));
    expect((await partitions(database)).length).toBeGreaterThanOrEqual(7);
    expect(await consume(database, ids[0] ?? '')).toBe('duplicate');
  },
);

test('ids without a time are forgotten by age', async () => {
  const database = await consumerDatabase();
  await database.pool
    .query(`insert into outbox_inbox.messages (id, consumer, revision, applied_at, foreign_id)
    select outbox_inbox.id_of('old' || i), 'billing', 1, now() - interval '31 days', 'old' || i from generate_series(1, 12001) i`);
  await consume(database, 'young');
  expect(await maintainInbox(database.pool)).toMatchObject({ deleted: 12_001 });
  expect(await consume(database, 'young')).toBe('duplicate');
});

test('maintenance inside a transaction is refused', async () => {
  const database = await consumerDatabase({ retentionMs: 60 * day });
  await migrateInbox(database.pool, { retentionMs: 20 * day });
  await database.session(async (client) => {
    await client.query('begin');
    await expect(maintainInbox(client)).rejects.toMatchObject({ code: 'OUTBOX_USAGE' });
  });
});

describe('checkInbox', () => {
  test('compares with the delay, the retries, the time parked, and the retries again', async () => {
    const { pool } = await consumerDatabase();
    expect(await checkInbox(pool)).toMatchObject({
      retentionMs: 30 * day,
      neededMs: 20 * day,
      overdueWeeks: 0,
    });
    const times = { retryMs: 2 * day, parkedMs: 20 * day, delayMs: 6 * day };
    expect(await checkInbox(pool, times)).toMatchObject({ neededMs: 30 * day });
    await expect(checkInbox(pool, { ...times, delayMs: 6 * day + 1 })).rejects.toMatchObject({
      code: 'OUTBOX_INBOX_RETENTION',
      hint: 'Run: temporal-outbox inbox migrate --retention 31d',
    });
  });

  test('takes the longest of the destinations that lead here from outbox.yaml', () => {
    const { config } = parseConfig(`
destinations:
  billing: { type: http, url: 'http://b.test/', retry: { scheduleToCloseTimeout: 240h } }
  audit: { type: http, url: 'http://a.test/' }`);
    expect(longestRetryMs(config)).toBe(10 * day);
    expect(longestRetryMs(config, ['audit'])).toBe(3 * day);
  });

  test('says that there is no inbox, that it is newer, and what would be dropped', async () => {
    const empty = await createTestDatabase({ migrated: false });
    await expect(checkInbox(empty.pool)).rejects.toMatchObject({ code: 'OUTBOX_SCHEMA_MISSING' });
    const { pool } = await consumerDatabase({ retentionMs: 90 * day });
    await migrateInbox(pool, { retentionMs: 30 * day });
    expect((await checkInbox(pool)).overdueWeeks).toBeGreaterThanOrEqual(8);
    await pool.query(`insert into outbox_inbox.migrations values (9999, 'later', '')`);
    await expect(checkInbox(pool)).rejects.toMatchObject({ code: 'OUTBOX_SCHEMA_NEWER' });
    await expect(migrateInbox(pool)).rejects.toMatchObject({ code: 'OUTBOX_SCHEMA_NEWER' });
  });
});
