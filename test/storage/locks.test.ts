/** What producers and workers do all the time locks a day or two, however many days there are: a server's lock table is small. */
import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { acknowledge, loadRows, recordFailures } from '../../src/storage/attempts.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import type { TestDatabase } from '../support/index.ts';
import {
  claim,
  claimOpen,
  databaseWith,
  failure,
  openRun,
  rowsOfBatch,
  session,
  soleRelay,
  writeEvents,
} from './fixtures.ts';

/** Of one day with its indexes, and of the tables that are not divided. */
const most = 60;

/** Of all days, each with its table and indexes, there are more than 100. */
async function withDays(retention: string): Promise<TestDatabase> {
  const database = await databaseWith({ billing: { maximum: 20, inFlight: 16 } });
  await database.pool.query('update outbox.retention set keep = $1', [retention]);
  await database.pool.query('select outbox.make_partitions(7, 30)');
  return database;
}

async function locksOf(client: pg.Client, work: () => Promise<unknown>): Promise<number> {
  await client.query('begin');
  await work();
  const { rows } = await client.query<{ n: number }>(
    `select count(*)::int as n from pg_locks where pid = pg_backend_pid() and locktype = 'relation'`,
  );
  await client.query('commit');
  return rows[0]?.n ?? NaN;
}

/** The first time a statement is planned, after some it may keep its plan. */
async function mostOfTen(client: pg.Client, work: (n: number) => Promise<unknown>): Promise<number> {
  let found = 0;
  for (let n = 0; n < 10; n++) found = Math.max(found, await locksOf(client, () => work(n)));
  return found;
}

let database: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  database = await withDays('90 days');
  client = await session(database.url);
});

const event = (n: number, more: object = {}) => ({ type: 'order.created', payload: { n }, ...more });

test.each<[string, (n: number) => Promise<unknown>]>([
  ['an event', (n) => enqueue(client, event(n))],
  ['one with a dedup key', (n) => enqueue(client, event(n, { dedupKey: `a${n}` }))],
  ['a repeat of it', (n) => enqueue(client, event(n, { dedupKey: `a${n}` }))],
  ['a statement of SQL', () => client.query(`insert into outbox.events (type, payload) values ('a', '{}')`)],
])('a producer that writes %s', async (_, work) => {
  expect(await mostOfTen(client, work)).toBeLessThan(most);
});

test('a producer that writes with dedup keys, where few days are kept', async () => {
  const few = await withDays('30 days');
  const producer = await session(few.url);
  const work = (n: number) => enqueue(producer, event(n, { dedupKey: `k${n}` }));
  expect(await mostOfTen(producer, work)).toBeLessThan(most);
  expect(await mostOfTen(producer, work)).toBeLessThan(most);
});

test('a relay that claims, and a worker that loads, acknowledges, records failures and parks', async () => {
  const { pool } = database;
  const relay = await soleRelay(pool);
  await writeEvents(pool, 400);
  expect(await mostOfTen(client, () => claimOpen(client, relay))).toBeLessThan(most);
  await writeEvents(pool, 20);
  const [batch] = await claim(pool, relay);
  if (batch === undefined) throw new Error('nothing was claimed');
  const run = await openRun(pool, batch.workflowId);
  const chunk = { rows: 5, bytes: 1_000_000 };
  expect(await mostOfTen(client, () => loadRows(client, run.batchId, '0', chunk))).toBeLessThan(most);
  expect(await mostOfTen(client, () => loadRows(client, run.batchId, '99999999', chunk))).toBeLessThan(most);

  const rows = await rowsOfBatch(pool, run.batchId);
  const events = rows.map(({ seq }) => seq);
  expect(await mostOfTen(client, (n) => acknowledge(client, run, events.slice(n, n + 1), true))).toBeLessThan(
    most,
  );
  const again = (n: number) => {
    const row = rows[10];
    return row === undefined
      ? Promise.resolve()
      : recordFailures(client, run, [failure({ ...row, tries: n })]);
  };
  expect(await mostOfTen(client, again)).toBeLessThan(most);
  const park = (n: number) => {
    const row = rows[10 + n];
    return row === undefined
      ? Promise.resolve()
      : recordFailures(client, run, [failure({ ...row, tries: n === 0 ? 10 : 0 }, { park: 'exhausted' })]);
  };
  expect(await mostOfTen(client, park)).toBeLessThan(most);
  const summary = () => client.query('select outbox.batch_summary($1)', [batch.workflowId]);
  expect(await mostOfTen(client, summary)).toBeLessThan(most);
  const letters = await database.rows('select event_type, last_status from outbox.dead_letters');
  expect(letters).toEqual(
    Array.from({ length: 10 }, () => ({ event_type: 'order.created', last_status: 500 })),
  );
});
