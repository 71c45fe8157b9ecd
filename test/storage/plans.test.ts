/** What stays cheap whatever the planner believes: looked at in buffers touched, which a busy machine does not change. */
import { expect, test } from 'vitest';
import { claimShared } from '../../src/storage/sharedLane.ts';
import { readLaneStandings } from '../../src/storage/standing.ts';
import { eventually, type TestDatabase } from '../support/index.ts';
import { claim, databaseWith, openRun, rowsOfBatch, soleRelay, writeEvents, failure } from './fixtures.ts';

const many = 60_000;

/** Blocks of 8 kB that a statement touched, all in all. */
async function blocksOf(database: TestDatabase, sql: string, values: unknown[]): Promise<number> {
  const rows = await database.rows<{ 'QUERY PLAN': { Plan: Record<string, number> }[] }>(
    `explain (analyze, buffers, format json) ${sql}`,
    values,
  );
  const plan = rows[0]?.['QUERY PLAN'][0]?.Plan ?? {};
  return (plan['Shared Hit Blocks'] ?? NaN) + (plan['Shared Read Blocks'] ?? NaN);
}

/** Runs each statement, and keeps the blocks that the latest one touched. */
function explained(database: TestDatabase) {
  const explaining = {
    blocks: NaN,
    query: async (text: string, values?: unknown[]) => {
      explaining.blocks = await blocksOf(database, text, values ?? []);
      return database.pool.query(text, values);
    },
  };
  return explaining;
}

async function blocksOfTable(database: TestDatabase): Promise<number> {
  const [row] = await database.rows<{ blocks: number }>(
    `select (pg_relation_size('outbox.deliveries') / 8192)::int as blocks`,
  );
  return row?.blocks ?? NaN;
}

/** Rows are as given, statistics as they were before. */
async function afterStatistics(database: TestDatabase, change: string): Promise<void> {
  await database.pool.query('alter table outbox.deliveries set (autovacuum_enabled = off)');
  await database.pool.query('vacuum analyze outbox.deliveries');
  await database.pool.query(change);
  // While an autovacuum reads another table, which began before the change, the rows that were there stay, and their index entries.
  await eventually(
    async () => {
      await database.pool.query('vacuum (analyze false) outbox.deliveries');
      expect(
        await database.rows(
          `select n_dead_tup::int as dead from pg_stat_user_tables where relid = 'outbox.deliveries'::regclass`,
        ),
      ).toEqual([{ dead: 0 }]);
    },
    { timeout: 30_000, interval: 250 },
  );
}

test('an empty poll touches a few blocks, even when statistics say that most rows are pending', async () => {
  const database = await databaseWith({ billing: {} });
  await writeEvents(database.pool, many);
  await afterStatistics(
    database,
    `update outbox.deliveries set state = 'parked', batch_id = '00000000-0000-7000-8000-000000000000'`,
  );
  const relay = await soleRelay(database.pool);
  const poll = `select * from outbox.claim($1, '{billing}', '{0}', '1 s')`;
  await blocksOf(database, poll, [relay]);
  const blocks = await blocksOf(database, poll, [relay]);
  expect(await blocksOfTable(database)).toBeGreaterThan(1000);
  expect(blocks).toBeLessThan(100);
});

test('how lanes stand is told from a few blocks, however many rows wait', async () => {
  const database = await databaseWith({ billing: {}, audit: {} });
  await writeEvents(database.pool, many);
  const explaining = explained(database);
  await readLaneStandings(explaining);
  const [, billing] = await readLaneStandings(explaining);
  expect(billing?.lagSeconds).toBeGreaterThan(0);
  expect(explaining.blocks).toBeLessThan(200);
});

test('a claim of 100 out of many touches what it takes, even when statistics know of no row', async () => {
  const database = await databaseWith({ billing: { maximum: 100, inFlight: 16 } });
  await afterStatistics(database, 'select 1');
  await writeEvents(database.pool, many);
  const relay = await soleRelay(database.pool);
  const poll = `select * from outbox.claim($1, '{billing}', '{0}', '1 s')`;
  await blocksOf(database, poll, [relay]);
  expect(await blocksOf(database, poll, [relay])).toBeLessThan(6000);
});

test('plans that were made and kept while the table was small do not read all of it when it has grown', async () => {
  const names = ['a', 'b', 'c', 'dead'];
  const database = await databaseWith(
    Object.fromEntries(names.map((name) => [name, { maximum: 100, inFlight: 16 }])),
    `[${names.map((name) => `{ match: ${name}, to: [${name}] }`).join(', ')}]`,
  );
  const { pool } = database;
  await pool.query('alter table outbox.deliveries set (autovacuum_enabled = off)');
  const relay = await soleRelay(pool);
  const explaining = explained(database);
  const ask = { after: '0', among: null, share: true, own: [], aside: [], into: null, limit: null };
  const size = { rows: 100, bytes: 1_000_000 };
  const rounds = async (): Promise<Record<string, number>> => {
    const blocks: Record<string, number> = {};
    for (let round = 0; round < 8; round++) {
      await writeEvents(pool, 3, 'a');
      await claimShared(explaining, relay, ask, size);
      blocks['shared'] = explaining.blocks;
      await writeEvents(pool, 3, 'b');
      blocks['own'] = await blocksOf(database, `select * from outbox.claim($1, '{b}', '{0}', '1 s', true)`, [
        relay,
      ]);
      await writeEvents(pool, 1, 'c');
      const [batch] = await claim(pool, relay, ['c']);
      if (batch === undefined) throw new Error('nothing was claimed');
      const { batchId, run } = await openRun(pool, batch.workflowId);
      const [row] = await rowsOfBatch(pool, batchId);
      if (row === undefined) throw new Error('the batch is empty');
      blocks['fail'] = await blocksOf(database, 'select outbox.record_failures($1, $2, $3)', [
        batchId,
        run,
        JSON.stringify([failure(row, { park: 'exhausted' })]),
      ]);
      blocks['resolve'] = await blocksOf(
        database,
        `select outbox.resolve($1, '{"action": "discard"}', 'test')`,
        [batch.workflowId],
      );
      await pool.query(`delete from outbox.deliveries where state = 'claimed'; delete from outbox.batches`);
    }
    return blocks;
  };
  await rounds();
  await writeEvents(pool, many, 'dead');
  await pool.query(
    `update outbox.deliveries set state = 'parked', batch_id = '00000000-0000-7000-8000-000000000000' where destination = 'dead'`,
  );
  const blocks = await rounds();
  const table = await blocksOfTable(database);
  console.log(`blocks touched beside a table of ${table}:`, blocks);
  for (const each of Object.values(blocks)) expect(each).toBeLessThan(table / 2);
});

test('loading, acknowledging, failing and finishing touch the batch, not the table', async () => {
  const database = await databaseWith({ billing: { maximum: 100, inFlight: 16 } });
  const { pool } = database;
  await afterStatistics(database, 'select 1');
  await writeEvents(pool, many);
  await pool.query(
    `update outbox.deliveries set state = 'claimed', batch_id = gen_random_uuid() where seq > 1000`,
  );
  const relay = await soleRelay(pool);
  const [warm, batch] = [...(await claim(pool, relay)), ...(await claim(pool, relay))];
  for (const { workflowId } of [warm, batch].flatMap((each) => (each === undefined ? [] : [each]))) {
    const { batchId, run } = await openRun(pool, workflowId);
    const rows = await rowsOfBatch(pool, batchId);
    const load = () => blocksOf(database, 'select * from outbox.load_rows($1, 0, 100, 1000000)', [batchId]);
    const blocks = {
      // Where others make many tables meanwhile it is planned anew, which reads the catalogs.
      load: Math.min(await load(), await load()),
      acknowledge: await blocksOf(database, 'select outbox.acknowledge($1, $2, $3, true)', [
        batchId,
        run,
        rows.slice(0, 50).map(({ seq }) => seq),
      ]),
      fail: await blocksOf(database, 'select outbox.record_failures($1, $2, $3)', [
        batchId,
        run,
        JSON.stringify(rows.slice(50, 70).map((row) => failure(row))),
      ]),
      finish: await blocksOf(database, 'select outbox.finish_attempt($1, $2, 200)', [batchId, run]),
    };
    if (workflowId !== batch?.workflowId) continue;
    // The table alone has more than 1,000 blocks, its indexes as many again.
    expect(blocks.load).toBeLessThan(1500);
    expect(blocks.acknowledge).toBeLessThan(1500);
    expect(blocks.fail).toBeLessThan(1500);
    expect(blocks.finish).toBeLessThan(1500);
    console.log('blocks touched for 100 rows of a batch:', blocks);
  }
});

test('asking for the shared lane in vain reads no destination, however many there are', async () => {
  const names = Array.from({ length: 3_000 }, (_, n) => `d${n}`);
  const database = await databaseWith(
    Object.fromEntries(names.map((name) => [name, {}])),
    `[{ match: order.*, to: [d0] }]`,
  );
  const relay = await soleRelay(database.pool);
  const nothing = { among: null, share: true, own: [], aside: [], into: null, limit: null };
  const explaining = explained(database);
  for (let warm = 0; warm < 2; warm++)
    await claimShared(explaining, relay, { after: '0', ...nothing }, { rows: 500, bytes: 1_000_000 });
  const [table] = await database.rows<{ blocks: number }>(
    `select (pg_relation_size('outbox.destinations') / 8192)::int as blocks`,
  );
  expect(table?.blocks).toBeGreaterThan(100);
  expect(explaining.blocks).toBeLessThan(30);
});

test('of large payloads those are read that a chunk has room for', async () => {
  const database = await databaseWith({ billing: { maximum: 300, inFlight: 1 } });
  const { pool } = database;
  await pool.query(
    `insert into outbox.events (type, payload)
     select 'order.created', jsonb_build_object('n', n, 'text', (select string_agg(md5(i::text || n), '') from generate_series(1, 1500) i))
     from generate_series(1, 300) n`,
  );
  const [batch] = await claim(pool, await soleRelay(pool));
  const { batchId } = await openRun(pool, batch!.workflowId);
  const load = 'select seq from outbox.load_rows($1, 0, 500, $2)';
  const all = await blocksOf(database, load, [batchId, 100_000_000]);
  const ofFew = () => blocksOf(database, load, [batchId, 250_000]);
  const few = Math.min(await ofFew(), await ofFew()); // As above.
  expect(await database.rows(load, [batchId, 250_000])).toHaveLength(6);
  console.log(`blocks touched for 300 payloads of 48 kB: ${all}, for 6 of them: ${few}`);
  // Of a payload eight, stored apart.
  expect(all).toBeGreaterThan(300 * 8);
  expect(few).toBeLessThan(all / 2);
});

test('routing one event does not depend on how many are there', async () => {
  const database = await databaseWith({ billing: {} });
  const insert = `insert into outbox.events (type, payload) values ('a', '{}')`;
  await blocksOf(database, insert, []);
  const before = await blocksOf(database, insert, []);
  await writeEvents(database.pool, many);
  await blocksOf(database, insert, []);
  expect(await blocksOf(database, insert, [])).toBeLessThan(before + 20);
});
