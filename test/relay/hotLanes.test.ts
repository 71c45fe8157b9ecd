/** A lane that fills its owner's process is claimed for by others, under the lane's own window, rate and order. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { HotLanes } from '../../src/relay/hotLanes.ts';
import { Lanes } from '../../src/relay/lanes.ts';
import { claimRows, holdLanes, shareHot } from '../../src/storage/claims.ts';
import { applyTestConfig, eventually, type TestDatabase } from '../support/index.ts';
import { claim, databaseWith, nowhere, rowsOfBatch, soleRelay, writeEvents } from '../storage/fixtures.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** `owner` has the lane billing, and `other` has nothing. */
async function two(settings = '', count = 100) {
  const database = await databaseWith({ billing: {} });
  if (settings !== '')
    await applyTestConfig(
      database,
      `destinations: { billing: { type: http, url: '${nowhere}', ${settings} } }\nroutes: [{ match: '*', to: [billing] }]`,
    );
  const owner = await soleRelay(database.pool);
  const other = randomUUID();
  await holdLanes(database.pool, other, 'test', 60_000);
  await writeEvents(database.pool, count);
  return { database, owner, other };
}

const share = ({ pool }: TestDatabase, relay: string, hot: readonly string[], ttlMs = 60_000) =>
  shareHot(pool, relay, hot, ttlMs, true, []);

test('only its owner makes a lane hot; then others with time to spare are told of it and claim for it, until it is over', async () => {
  const { database, owner, other } = await two('batch: { maximum: 10, inFlight: 4 }');
  const { pool } = database;
  expect(await claim(pool, other)).toEqual([]);
  expect(await share(database, other, ['billing'])).toEqual([]);
  expect(await claim(pool, other)).toEqual([]);

  expect(await share(database, owner, ['billing'], 400)).toEqual([]);
  expect(await share(database, other, [])).toEqual(['billing']);
  expect(await shareHot(pool, other, [], 400, false, [])).toEqual([]);
  expect(await shareHot(pool, other, [], 400, true, ['billing'])).toEqual([]);
  const [helped] = await claim(pool, other);
  expect(helped).toMatchObject({ lane: 'billing', size: 10 });
  const [own] = await claim(pool, owner);
  expect(own).toMatchObject({ lane: 'billing', size: 10 });
  expect(own?.batchId).not.toBe(helped?.batchId);

  await eventually(async () => expect(await share(database, other, [])).toEqual([]));
  expect(await claim(pool, other)).toEqual([]);
});

test('all together keep to the window and the rate of the lane', async () => {
  const { database, owner, other } = await two('batch: { maximum: 10, inFlight: 3 }');
  await share(database, owner, ['billing']);
  const sizes = [];
  for (const relay of [owner, other, owner, other, other])
    sizes.push(...(await claim(database.pool, relay)).map(({ size }) => size));
  expect(sizes).toEqual([10, 10, 10]);

  const rated = await two('rateLimit: { limit: 20, per: 1m }, batch: { maximum: 100, inFlight: 4 }');
  await share(rated.database, rated.owner, ['billing']);
  let claimed = 0;
  for (const relay of [rated.other, rated.owner, rated.other])
    for (const { size } of await claim(rated.database.pool, relay)) claimed += size;
  expect(claimed).toBeGreaterThan(0);
  expect(claimed).toBeLessThanOrEqual(21);
});

test('where order is kept, a key is with one batch at a time, whoever claimed it', async () => {
  const { database, owner, other } = await two('ordering: key, batch: { maximum: 30, inFlight: 4 }', 0);
  const { pool } = database;
  await pool.query(
    `insert into outbox.events (type, key, payload) select 'a', 'k' || i % 100, '{}' from generate_series(1, 300) i`,
  );
  await share(database, owner, ['billing']);
  const ask = { lane: 'billing', after: '0', into: null, limit: null };
  const batches = [];
  for (const relay of [owner, other, owner, other]) {
    const claims = await claimRows(pool, relay, [ask], 60_000, { rows: 100, bytes: 1_000_000 });
    batches.push(...claims.batches);
  }
  expect(batches.length).toBeGreaterThan(1);
  const holders = await database.rows(
    `select key, count(distinct batch_id)::int as batches from outbox.deliveries where state = 'claimed' group by key having count(distinct batch_id) > 1`,
  );
  expect(holders).toEqual([]);
  expect((await Promise.all(batches.map(({ batchId }) => rowsOfBatch(pool, batchId)))).flat()).toHaveLength(
    batches.reduce((sum, { size }) => sum + size, 0),
  );
});

test('a thread that is full says so of the lane that fills it; one with time to spare takes part, and no longer than that', async () => {
  const { database, owner, other } = await two('batch: { maximum: 10, inFlight: 4 }');
  const { pool } = database;
  const everyMs = 500;
  const part = async (relay: string) => {
    const lanes = new Lanes(pool, relay, 'test', 60_000);
    await lanes.hold([]);
    return { lanes, hot: new HotLanes(pool, relay, lanes, silent, everyMs) };
  };
  const busy = await part(owner);
  const spare = await part(other);
  expect(busy.lanes.held).toEqual(['billing']);
  /** What a heartbeat tells after a time that was busy or not, with so many rows of 500 claimed. */
  const beat = async ({ hot }: { hot: HotLanes }, isBusy: boolean, rows = 0): Promise<void> => {
    await hot.pass([]);
    const until = performance.now() + 200;
    if (isBusy) while (performance.now() < until);
    else await sleep(200);
    hot.noteClaim('billing', 500, rows);
    await hot.pass([]);
  };

  await beat(busy, true, 200);
  await beat(busy, false, 500);
  await beat(spare, false);
  expect(spare.lanes.helped).toEqual([]);

  await beat(busy, true, 500);
  await beat(spare, true);
  expect(spare.lanes.helped).toEqual([]);
  await beat(spare, false);
  expect(spare.lanes.helped).toEqual(['billing']);
  expect(spare.lanes.held).toEqual([]);
  expect(spare.lanes.serves('billing')).toBe(true);
  // What fills a helper is the help.
  await beat(spare, true);
  expect(spare.lanes.helped).toEqual(['billing']);

  await sleep(3 * everyMs);
  await beat(spare, false);
  expect(spare.lanes.helped).toEqual([]);
  expect(spare.lanes.serves('billing')).toBe(false);
});
