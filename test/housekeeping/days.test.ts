/** Days past retention go, what is unsettled stays. */
import type pg from 'pg';
import { expect, test } from 'vitest';
import { recordFailures, finishAttempt } from '../../src/storage/attempts.ts';
import { makePartitions } from '../../src/storage/claims.ts';
import { connect } from '../../src/storage/connect.ts';
import { readAttempts } from '../../src/storage/deadLetters.ts';
import { partitionsPastRetention } from '../../src/storage/housekeeping.ts';
import { keepHouse } from '../../src/housekeeping/pass.ts';
import { applyTestConfig, atEnd, quietLog, type TestDatabase } from '../support/index.ts';
import {
  claim,
  databaseWith,
  failure,
  openRun,
  rowsOfBatch,
  session,
  soleRelay,
  yamlOf,
} from '../storage/fixtures.ts';
import { daysOf, dayTag, idOf, makeOldDays, passOver, settle, writeOld } from './stage.ts';

async function stage(): Promise<TestDatabase> {
  const database = await databaseWith({ billing: {} });
  for (const day of [8, 9, 10]) await makeOldDays(database.pool, day);
  return database;
}

test('with nothing to do a pass does nothing, and says so', async () => {
  const database = await databaseWith({ billing: {} });
  const report = await passOver(database);
  expect(report).toMatchObject({
    dropped: [],
    waiting: [],
    kept: 0,
    lag: { staleClaims: 0, oldestDueMs: null },
  });
  expect(Object.values(report.deleted)).toEqual(Object.values(report.deleted).map(() => 0));
});

test('one unsettled among 100,000 past retention: the day goes, its text stays until it is settled', async () => {
  const database = await stage();
  const ids = await writeOld(database.pool, 9, 100_000, { total: 12345678901234567890 });
  const [kept = '', ...others] = ids;
  await settle(database.pool, others);
  const report = await passOver(database);
  expect(report.dropped.map(({ name }) => name)).toEqual(
    ['attempts', 'delivered', 'events'].flatMap((parent) =>
      [10, 9, 8].map((day) => `${parent}_${dayTag(day)}`),
    ),
  );
  expect(report.dropped.find(({ name }) => name === `events_${dayTag(9)}`)?.bytes).toBeGreaterThan(
    10_000_000,
  );
  expect(report.kept).toBe(1);
  expect(await daysOf(database, 'events')).not.toContain(`events_${dayTag(9)}`);
  expect(await database.rows('select id, payload::text, type from outbox.events_kept')).toEqual([
    { id: kept, payload: '{"total": 12345678901234567000}', type: 'order.created' },
  ]);
  // A later pass takes nothing away while it is unsettled, and everything once it is.
  expect((await passOver(database)).deleted.eventsKept).toBe(0);
  await settle(database.pool, [kept]);
  expect((await passOver(database)).deleted.eventsKept).toBe(1);
  expect(await database.rows('select 1 from outbox.events_kept')).toEqual([]);
}, 90_000);

test('a delivery for a far day is kept past its event’s day, and so are attempts of what is unsettled', async () => {
  const database = await stage();
  const [id = ''] = await writeOld(database.pool, 9, 1, { n: 1 });
  const relay = await soleRelay(database.pool);
  const [batch] = await claim(database.pool, relay);
  const run = await openRun(database.pool, batch?.workflowId ?? '');
  const [row] = await rowsOfBatch(database.pool, run.batchId);
  if (row === undefined) throw new Error('no row');
  await recordFailures(database.pool, run, [failure(row, { park: 'permanent', excerpt: 'no such order' })]);
  await finishAttempt(database.pool, run, [], { maxSingles: 200, keep: true });
  // As if it had been tried then.
  await database.pool.query(`update outbox.attempts set at = outbox.uuid7_time(event_id)`);
  const report = await passOver(database);
  expect(report.kept).toBe(2);
  expect(await readAttempts(database.pool, id, 'billing', 10)).toMatchObject([
    { try: 1, excerpt: 'no such order' },
  ]);
  await settle(database.pool, [id]);
  expect((await passOver(database)).deleted).toMatchObject({ eventsKept: 1, attemptsKept: 1 });
});

test('days within retention stay, and the relay does not make again what was dropped', async () => {
  const database = await databaseWith({ billing: {} });
  // As a new database has them.
  await database.rows('select outbox.make_partitions(7, 30)');
  const before = await daysOf(database, 'events');
  await applyTestConfig(database, `${yamlOf({ billing: {} })}retention: { events: 2d }\n`);
  const report = await passOver(database);
  expect(report.dropped.map(({ name }) => name)).toEqual(
    [7, 6, 5, 4, 3].map((day) => `events_${dayTag(day)}`),
  );
  expect(await makePartitions(database.pool)).toBe(0);
  expect(await daysOf(database, 'events')).toEqual(before.slice(5));
});

test('a producer with an open transaction is not held up, nor are others while the day waits for it', async () => {
  const database = await stage();
  const producer = await session(database.url);
  await producer.query('begin');
  await producer.query(`insert into outbox.events (type, payload) values ('a', '{}')`);
  const passing = keepHouse({ pool: database.pool, log: quietLog().log });
  const others = await session(database.url);
  await others.query(`set lock_timeout = '1s'`);
  // All through the pass, which waits for the producer.
  let over = false;
  void passing.finally(() => (over = true)).catch(() => undefined);
  let written = 0;
  while (!over) {
    await others.query(`insert into outbox.events (type, payload) values ('b', '{}')`);
    await others.query(`select payload from outbox.events where id = $1`, [idOf(0)]);
    written++;
  }
  const report = await passing;
  expect(written).toBeGreaterThan(100);
  expect(report?.waiting).toMatchObject([
    { name: `events_${dayTag(10)}`, why: expect.stringContaining('open transaction') as string },
  ]);
  await producer.query(`insert into outbox.events (type, payload) values ('c', '{}')`);
  await producer.query('commit');
  // What was broken off is taken up.
  expect(await partitionsPastRetention(database.pool)).toMatchObject([{ state: 'detaching' }, {}, {}]);
  expect((await passOver(database)).waiting).toEqual([]);
  expect(await partitionsPastRetention(database.pool)).toEqual([]);
});

test('what a late commit leaves unsettled in a day that is being detached is kept', async () => {
  const database = await stage();
  const id = idOf(9);
  const producer = await session(database.url);
  await producer.query('begin');
  await producer.query(
    `insert into outbox.events (id, type, payload) values ($1, 'late', '{"late": true}')`,
    [id],
  );
  const passing = passOver(database);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await producer.query('commit');
  await passing;
  await passOver(database);
  expect(await partitionsPastRetention(database.pool)).toEqual([]);
  expect(await database.rows('select id, payload from outbox.events_kept')).toEqual([
    { id, payload: { late: true } },
  ]);
});

test('two passes at once: one works, the other answers that there is nothing for it to do', async () => {
  const database = await stage();
  await settle(database.pool, await writeOld(database.pool, 9, 5_000));
  const options = { pool: database.pool, log: quietLog().log };
  const reports = await Promise.all([keepHouse(options), keepHouse(options), keepHouse(options)]);
  const done = reports.filter((report) => report !== null);
  expect(done).toHaveLength(1);
  expect(done[0]?.dropped).toHaveLength(9);
  // The lock is given back.
  expect((await passOver(database)).dropped).toEqual([]);
});

test('the relay’s role keeps house too, though it may not detach concurrently', async () => {
  const database = await stage();
  const [kept = ''] = await writeOld(database.pool, 9, 1, { n: 1 });
  const pool = connect(database.url);
  atEnd(() => pool.end());
  pool.on('connect', (client) => void client.query('set role outbox_relay'));
  const report = await keepHouse({ pool, log: quietLog().log });
  expect(report?.dropped).toHaveLength(9);
  expect(await database.rows('select id from outbox.events_kept')).toEqual([{ id: kept }]);

  // Under a producer's open transaction it gives up after moments.
  await makeOldDays(database.pool, 8);
  const producer = await session(database.url);
  await producer.query(`begin; insert into outbox.events (type, payload) values ('a', '{}')`);
  const held = await keepHouse({ pool, log: quietLog().log });
  expect(held?.waiting.map(({ name }) => name)).toEqual([`events_${dayTag(8)}`]);
  await producer.query('commit');
  expect((await keepHouse({ pool, log: quietLog().log }))?.waiting).toEqual([]);
});

test('a role that is neither owner nor relay can drop nothing', async () => {
  const database = await stage();
  const producer: pg.Client = await session(database.url);
  await producer.query('set role outbox_operator');
  for (const sql of [
    `select outbox.purge('audit', 10)`,
    `select outbox.drop_partition_briefly('events_${dayTag(9)}')`,
    `select outbox.drop_detached('events_${dayTag(9)}')`,
    `alter table outbox.events detach partition outbox.events_${dayTag(9)} concurrently`,
  ]) {
    await expect(producer.query(sql)).rejects.toMatchObject({ code: '42501' });
  }
});

test('nobody can have a day dropped that is within retention', async () => {
  const database = await databaseWith({ billing: {} });
  const young = `events_${dayTag(1)}`;
  await database.pool.query(`select outbox.drop_partition_briefly($1)`, [young]);
  await database.pool.query(`select outbox.drop_detached($1)`, [young]);
  await database.pool.query(`select outbox.finish_detach($1)`, [young]);
  expect(await daysOf(database, 'events')).toContain(young);
});
