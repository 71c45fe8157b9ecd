/** doctor warns before PostgreSQL's lock table is full: of a server small enough to fill it. */
import { expect, test } from 'vitest';
import { judgeLocks } from '../../src/cli/doctor/server.ts';
import { readLockTable } from '../../src/storage/health.ts';
import { createTestDatabase, type TestDatabase } from '../support/index.ts';

/** With as many days as a relay keeps. */
async function databaseOfDays(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await database.pool.query('select outbox.make_partitions(7, 30)');
  return database;
}

test('what a statement over every day locks is counted as PostgreSQL takes it', async () => {
  const database = await databaseOfDays();
  const { locks, partitions, table, capacity, perTransaction, sessions } = await readLockTable(database.pool);
  const client = await database.pool.connect();
  try {
    await client.query('begin');
    await client.query(`select count(*) from outbox.${table}`);
    const { rows } = await client.query<{ n: number; days: number }>(
      `select count(*)::int as n, count(*) filter (where c.relkind = 'r')::int as days
       from pg_locks l join pg_class c on c.oid = l.relation
       where l.pid = pg_backend_pid() and c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'i') and c.relispartition`,
    );
    expect(rows).toEqual([{ n: locks, days: partitions }]);
    await client.query('rollback');
  } finally {
    client.release();
  }
  expect(capacity).toBeGreaterThanOrEqual(perTransaction);
  expect(sessions).toBeGreaterThanOrEqual(1);
});

const small = {
  capacity: 6_400,
  perTransaction: 64,
  table: 'events',
  partitions: 37,
  grown: 37,
  locks: 111,
  pruned: false,
};

test('half of the lock table is all right, more is not, and what is said to be enough is', () => {
  expect(judgeLocks({ ...small, sessions: 28 }).level).toBe('ok');
  const { level, found, hint } = judgeLocks({ ...small, sessions: 60 });
  expect({ level, found }).toEqual({
    level: 'warn',
    found:
      '37 days of events are 111 locks a statement; 60 sessions may take 6660 of the 6400 that the server has room for',
  });
  const enough = Number(/to (\d+) or more/.exec(hint ?? '')?.[1]);
  const raised = { ...small, perTransaction: enough, capacity: enough * 100 };
  expect(judgeLocks({ ...raised, sessions: 60 }).level).toBe('ok');
  expect(enough).toBe(134);
});

test('it warns on the day that a long retention is chosen, not when its last day has come', async () => {
  const database = await databaseOfDays();
  const before = await readLockTable(database.pool);
  await database.pool.query(`update outbox.retention set keep = '400 days' where what = 'events'`);
  const { grown, partitions, locks, ...chosen } = await readLockTable(database.pool);
  expect({ grown, partitions }).toEqual({ grown: 430, partitions: before.partitions });
  expect(locks).toBe((430 * before.locks) / before.partitions);
  const { level, found } = judgeLocks({
    ...chosen,
    grown,
    partitions,
    locks,
    ...{ capacity: 6_400, sessions: 20 },
  });
  expect(level).toBe('warn');
  expect(found).toContain(
    `430 days of events, as retention has it (now ${partitions}), are ${locks} locks for a statement over all of them`,
  );
  // Few statements are over all days: more processes change little.
  const raised = { ...chosen, grown, partitions, locks, capacity: 25_600 };
  expect(chosen.pruned).toBe(true);
  expect(judgeLocks({ ...raised, sessions: 100 }).level).toBe('ok');
  expect(judgeLocks({ ...raised, sessions: 100, pruned: false }).level).toBe('warn');
});
