/** 50,000 rows behind one parked delivery: looked at in blocks touched, as in plans.test.ts, with the times shown beside. */
import { beforeAll, expect, test } from 'vitest';
import { applyTestConfig, createTestDatabase, type TestDatabase } from '../support/index.ts';
import { claim, failure, nowhere, openRun, rowsOfBatch, soleRelay } from './fixtures.ts';

const behind = 50_000;
const poll = `select * from outbox.claim($1, '{billing}', '{0}', '1 s')`;

let database: TestDatabase;
let relay: string;
let workflowId = '';

async function costOf(sql: string, values: unknown[]): Promise<{ blocks: number; ms: number }> {
  const rows = await database.rows<{
    'QUERY PLAN': { Plan: Record<string, number>; 'Execution Time': number }[];
  }>(`explain (analyze, buffers, format json) ${sql}`, values);
  const found = rows[0]?.['QUERY PLAN'][0];
  const blocks = (found?.Plan['Shared Hit Blocks'] ?? NaN) + (found?.Plan['Shared Read Blocks'] ?? NaN);
  return { blocks, ms: found?.['Execution Time'] ?? NaN };
}

async function write(key: string, count: number): Promise<void> {
  await database.pool.query(
    `insert into outbox.events (type, key, payload) select 'a', $1, '{}' from generate_series(1, $2::int)`,
    [key, count],
  );
}

async function stateCounts(): Promise<Record<string, number>> {
  const rows = await database.rows<{ state: string; n: number }>(
    'select state, count(*)::int as n from outbox.deliveries group by state',
  );
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
}

beforeAll(async () => {
  database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${nowhere}', ordering: key, batch: { inFlight: 16 } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  relay = await soleRelay(database.pool, 3_600_000);
  await write('hot', 1);
  const [batch] = await claim(database.pool, relay);
  workflowId = batch?.workflowId ?? '';
  const { batchId, run } = await openRun(database.pool, workflowId);
  const [head] = await rowsOfBatch(database.pool, batchId);
  const rows = JSON.stringify(head === undefined ? [] : [failure(head, { park: 'permanent' })]);
  await database.pool.query('select outbox.record_failures($1, $2, $3)', [batchId, run, rows]);
  await database.pool.query('select outbox.finish_attempt($1, $2, 0)', [batchId, run]);
  await write('hot', behind);
}, 120_000);

test('rows behind a parked head leave the way of claims in steps, once, whatever statistics say', async () => {
  let polls = 0;
  let worst = { blocks: 0, ms: 0 };
  while ((await stateCounts())['pending'] !== undefined) {
    const cost = await costOf(poll, [relay]);
    if (cost.blocks > worst.blocks) worst = cost;
    polls++;
    expect(polls).toBeLessThanOrEqual(behind / 1000);
  }
  expect(await stateCounts()).toEqual({ parked: 1, blocked: behind });
  // A thousand rows, each in its tuple and five indexes.
  expect(worst.blocks).toBeLessThan(40_000);
  console.log(`${behind} rows set aside in ${polls} polls, the dearest`, worst);
}, 120_000);

test('claims of other keys, and inserts behind the head, then cost what they cost without it', async () => {
  await claim(database.pool, relay);
  await write('other', 1);
  const taking = await costOf(poll, [relay]);
  const empty = await costOf(poll, [relay]);
  await write('hot', 1);
  const settingAside = await costOf(poll, [relay]);
  console.log('claim of another key', taking, 'empty poll', empty, 'one more behind', settingAside);
  expect(await stateCounts()).toEqual({ parked: 1, blocked: behind + 1, claimed: 1 });
  // The pages of the index that the rows behind have left: few hundred, twice as many where no vacuum came by. Looked at, the rows would be 50,000.
  expect(taking.blocks).toBeLessThan(2_000);
  expect(empty.blocks).toBeLessThan(1_000);
  expect(settingAside.blocks).toBeLessThan(2_000);
});

test('resolving the head brings one row back, and each claim after it touches what it takes', async () => {
  const discard = 'select outbox.resolve($1, $2, $3)';
  const values = [workflowId, '{"action":"discard"}', 'test'];
  // Taken back: its first run in a session plans, which reads a thousand blocks of the catalogs.
  const client = await database.pool.connect();
  try {
    await client.query('begin');
    await client.query(discard, values);
    await client.query('rollback');
  } finally {
    client.release();
  }
  const resolve = await costOf(discard, values);
  expect(await stateCounts()).toMatchObject({ pending: 1, blocked: behind });
  expect(resolve.blocks).toBeLessThan(1_000);
  const claims: { blocks: number; ms: number }[] = [];
  for (let round = 0; round < 5; round++) {
    claims.push(await costOf(poll, [relay]));
    const [batch] = await database.rows<{ id: string; seqs: string[] }>(
      `select b.id, array_agg(d.seq::text) as seqs from outbox.batches b join outbox.deliveries d on d.batch_id = b.id
       where d.key = 'hot' group by b.id`,
    );
    expect(batch?.seqs).toHaveLength(100);
    const settling = await costOf('select outbox.acknowledge($1, 0, $2::bigint[], true)', [
      batch?.id,
      batch?.seqs,
    ]);
    expect(settling.blocks).toBeLessThan(5_000);
    await database.pool.query('delete from outbox.batches where id = $1', [batch?.id]);
  }
  console.log('discard of the head', resolve, 'claims of 100 of its key', claims);
  for (const { blocks } of claims) expect(blocks).toBeLessThan(6_000);
});
