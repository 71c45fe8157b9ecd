import { expect, test } from 'vitest';
import { makePartitions } from '../../src/storage/claims.ts';
import { connect } from '../../src/storage/connect.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { daysAhead } from '../../src/storage/status.ts';
import { atEnd, createTestDatabase, type TestDatabase } from '../support/index.ts';
import { session, type Refusal } from './fixtures.ts';

/** As the product makes it, in every run. */
async function freshDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase({ migrated: false });
  await migrate(database.pool);
  return database;
}

const dayMs = 86_400_000;

test('a fresh schema takes ids of the last 7 and the next 30 days, deliveries and attempts of the next 30', async () => {
  const { rows } = await freshDatabase();
  const days = await rows<{ parent: string; count: number; first: number; last: number }>(
    `select i.inhparent::regclass::text as parent, count(*)::int as count,
            min(to_date(right(c.relname, 8), 'YYYYMMDD')) - (now() at time zone 'UTC')::date as first,
            max(to_date(right(c.relname, 8), 'YYYYMMDD')) - (now() at time zone 'UTC')::date as last
     from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where c.relkind = 'r' and c.relname ~ '^(events|delivered|attempts)_[0-9]{8}$' group by 1 order by 1`,
  );
  expect(days).toEqual([
    { parent: 'outbox.attempts', count: 32, first: -1, last: 30 },
    { parent: 'outbox.delivered', count: 32, first: -1, last: 30 },
    { parent: 'outbox.events', count: 38, first: -7, last: 30 },
  ]);
});

test('every day in between is covered without a gap', async () => {
  const { pool } = await freshDatabase();
  for (let day = -7; day <= 30; day += 1) {
    const { rowCount } = await pool.query(
      `insert into outbox.events (id, type, payload)
       values ((left(outbox.uuid7_floor(now() + $1 * interval '1 day')::text, 14) || '7000-8000-000000000001')::uuid, 'a', '{}')`,
      [day],
    );
    expect(rowCount).toBe(1);
  }
});

test('making partitions again makes none, and makes what is missing', async () => {
  const { pool, rows } = await freshDatabase();
  expect(await makePartitions(pool)).toBe(0);
  const [last] = await rows<{ name: string }>(
    `select max(relname) as name from pg_class where relname ~ '^delivered_[0-9]{8}$'`,
  );
  await pool.query(`drop table outbox.${last?.name}`);
  expect(await daysAhead(pool)).toBe(29);
  expect(await makePartitions(pool)).toBe(1);
  expect(await daysAhead(pool)).toBe(30);
});

test('several relays at it at once make each partition once', async () => {
  const { url, rows, pool } = await createTestDatabase();
  const tables = await rows<{ name: string }>(
    `select relname as name from pg_class where relname ~ '^events_[0-9]{8}$' order by 1 desc limit 5`,
  );
  await pool.query(tables.map(({ name }) => `drop table outbox.${name};`).join('\n'));
  const other = connect(url);
  atEnd(() => other.end());
  const made = await Promise.all([pool, other, pool, other].map((db) => makePartitions(db)));
  expect(made.reduce((sum, count) => sum + count)).toBe(5);
});

test('while a producer’s transaction is open, partitions are made and other producers go on', async () => {
  const { url, pool, rows } = await createTestDatabase();
  const [last] = await rows<{ name: string }>(
    `select max(relname) as name from pg_class where relname ~ '^events_[0-9]{8}$'`,
  );
  const producer = await session(url);
  await pool.query(`drop table outbox.${last?.name}`);
  await producer.query(`begin; insert into outbox.events (type, payload) values ('a', '{}')`);

  // In a transaction that stays open too: what it locks, it locks until its end.
  const maker = await session(url);
  await maker.query('begin');
  const { rows: made } = await maker.query('select outbox.make_partitions() as count');
  expect(made).toEqual([{ count: 1 }]);
  await pool.query(`set lock_timeout = '1s'; insert into outbox.events (type, payload) values ('b', '{}')`);
  await producer.query(`insert into outbox.events (type, payload) values ('c', '{}')`);
  await producer.query('commit');
  await maker.query('commit');
  expect(await rows('select type from outbox.events order by type')).toHaveLength(3);
});

test('an id of last year or of next year finds no partition and is refused', async () => {
  const { pool } = await createTestDatabase();
  for (const at of [Date.now() - 365 * dayMs, Date.now() + 365 * dayMs]) {
    const id = `${at
      .toString(16)
      .padStart(12, '0')
      .replace(/^(.{8})/, '$1-')}-7000-8000-000000000001`;
    const refused = await pool
      .query(`insert into outbox.events (id, type, payload) values ($1, 'a', '{}')`, [id])
      .catch((error: Refusal) => error);
    expect(refused).toMatchObject({
      code: '23514',
      message: expect.stringContaining('no partition') as string,
    });
  }
});
