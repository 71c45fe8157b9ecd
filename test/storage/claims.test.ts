import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { claimBatches, holdLanes, promoteDue, releaseBatch } from '../../src/storage/claims.ts';
import { eventually } from '../support/index.ts';
import {
  claim,
  claimOpen,
  claimedBatch,
  databaseWith,
  openRun,
  rowsOfBatch,
  session,
  soleRelay,
  writeEvents,
} from './fixtures.ts';

test('a claim takes the first rows in order, up to the lane’s maximum, and hands them to one workflow', async () => {
  const { pool, rows, name } = await databaseWith({ billing: { maximum: 10 } });
  await writeEvents(pool, 25);
  const [batch] = await claim(pool, await soleRelay(pool));
  expect(batch).toMatchObject({
    lane: 'billing',
    size: 10,
    opened: null,
    workflowId: `${name}/deliver/${batch?.batchId}`,
  });
  const claimed = await rows<{ seq: string; state: string }>(
    `select seq::text, state from outbox.deliveries where batch_id = $1 order by outbox.deliveries.seq`,
    [batch?.batchId],
  );
  expect(claimed.map(({ seq }) => Number(seq))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(new Set(claimed.map(({ state }) => state))).toEqual(new Set(['claimed']));
  expect(batch?.lastSeq).toBe('10');
});

test('nothing to claim is no batch', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  expect(await claim(pool, await soleRelay(pool))).toEqual([]);
  expect(await rows('select 1 from outbox.batches')).toEqual([]);
});

test('a claim that opens its batch answers the first rows with what is sent', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const ids = await writeEvents(pool, 3);
  const relay = await soleRelay(pool);
  const [batch] = await claimOpen(pool, relay, { rows: 2, bytes: 1000 });
  expect(batch).toMatchObject({ size: 3, opened: { batch: { run: 1, lane: 'billing', fruitless: 0 } } });
  expect(batch?.opened?.rows.map(({ eventId, payload, tries }) => ({ eventId, payload, tries }))).toEqual([
    { eventId: ids[0], payload: '{"n": 1}', tries: 0 },
    { eventId: ids[1], payload: '{"n": 2}', tries: 0 },
  ]);
  expect((await openRun(pool, batch?.workflowId ?? '')).run).toBe(2);
});

test('claims at once, of several connections, take each row once', async () => {
  const { pool, rows } = await databaseWith({ billing: { maximum: 7, inFlight: 16 } });
  await writeEvents(pool, 100);
  const relay = await soleRelay(pool);
  const claimed = await Promise.all(Array.from({ length: 10 }, () => claim(pool, relay)));
  const sizes = claimed.flat().map(({ size }) => size);
  expect(sizes.length).toBeGreaterThan(0);
  expect(await rows(`select count(*)::int as count from outbox.deliveries where state = 'claimed'`)).toEqual([
    { count: sizes.reduce((sum, size) => sum + size, 0) },
  ]);
  expect(new Set(sizes)).toEqual(new Set([7]));
});

test('a row that somebody holds is passed over, and claimed later', async () => {
  const { pool, url } = await databaseWith({ billing: {} });
  await writeEvents(pool, 3);
  const other = await session(url);
  await other.query('begin; select 1 from outbox.deliveries where seq = 2 for update');
  const relay = await soleRelay(pool);
  const [first] = await claim(pool, relay);
  expect((await rowsOfBatch(pool, first?.batchId ?? '')).map(({ seq }) => seq)).toEqual(['1', '3']);
  await other.query('rollback');
  const [second] = await claim(pool, relay);
  expect((await rowsOfBatch(pool, second?.batchId ?? '')).map(({ seq }) => seq)).toEqual(['2']);
});

test('only the owner of a lane claims from it, and only while its lease lasts', async () => {
  const { pool } = await databaseWith({ billing: {} });
  await writeEvents(pool, 1);
  const owner = await soleRelay(pool, 400);
  const stranger = randomUUID();
  expect(await claim(pool, stranger)).toEqual([]);
  await eventually(async () =>
    expect((await holdLanes(pool, stranger, 'other', 60_000)).lanes).toEqual(['billing']),
  );
  expect(await claim(pool, owner)).toEqual([]);
  expect(await claim(pool, stranger)).toHaveLength(1);
});

test('a lane whose row another transaction holds is passed over, not waited for', async () => {
  const { pool, url } = await databaseWith(
    { billing: {}, audit: {} },
    `[{ match: '*', to: [billing, audit] }]`,
  );
  await writeEvents(pool, 1);
  const relay = await soleRelay(pool);
  const other = await session(url);
  await other.query(`begin; select 1 from outbox.lanes where name = 'billing' for update`);
  expect((await claim(pool, relay, ['billing', 'audit'])).map(({ lane }) => lane)).toEqual(['audit']);
});

test('a lane’s window is counted in rows that have not come through their first attempt', async () => {
  const { pool } = await databaseWith({ billing: { maximum: 10, inFlight: 2 } });
  await writeEvents(pool, 50);
  const relay = await soleRelay(pool);
  // Old enough that slots do not count.
  const sizes = [];
  for (let n = 0; n < 3; n += 1) sizes.push(...(await claim(pool, relay, ['billing'], -1)));
  expect(sizes.map(({ size }) => size)).toEqual([10, 10]);

  const { batchId, run } = await openRun(pool, sizes[0]?.workflowId ?? '');
  const seqs = (await rowsOfBatch(pool, batchId)).slice(0, 4).map(({ seq }) => seq);
  await pool.query('select outbox.acknowledge($1, $2, $3, true)', [batchId, run, seqs]);
  expect((await claim(pool, relay, ['billing'], -1)).map(({ size }) => size)).toEqual([4]);
});

test('young batches fill the slots in flight; a slow one does not hold the lane', async () => {
  const { pool } = await databaseWith({ billing: { maximum: 10, inFlight: 2 } });
  const relay = await soleRelay(pool);
  for (let n = 0; n < 2; n += 1) {
    await writeEvents(pool, 1);
    expect(await claim(pool, relay)).toHaveLength(1);
  }
  await writeEvents(pool, 1);
  expect(await claim(pool, relay)).toEqual([]);
  // The same two batches, now taken for slow.
  expect(await claim(pool, relay, ['billing'], 0)).toHaveLength(1);
});

test('a paused destination’s lane claims nothing until it is resumed', async () => {
  const { pool } = await databaseWith({ billing: {} });
  await writeEvents(pool, 1);
  const relay = await soleRelay(pool);
  await pool.query('update outbox.destinations set paused_at = now()');
  expect(await claim(pool, relay)).toEqual([]);
  await pool.query('update outbox.destinations set paused_at = null');
  expect(await claim(pool, relay)).toHaveLength(1);
});

test('the mark is a hint: above it only later rows are seen, from the beginning a late commit is found', async () => {
  const { pool, url } = await databaseWith({ billing: {} });
  const late = await session(url);
  await late.query(`begin; insert into outbox.events (type, payload) values ('late', '{}')`);
  await writeEvents(pool, 2);
  const relay = await soleRelay(pool);
  const [first] = await claim(pool, relay);
  expect(first).toMatchObject({ size: 2, lastSeq: '3' });
  await late.query('commit');
  const above = await claimBatches(pool, relay, ['billing'], [first?.lastSeq ?? ''], 60_000);
  expect(above).toEqual([]);
  const [swept] = await claim(pool, relay);
  expect((await rowsOfBatch(pool, swept?.batchId ?? '')).map(({ seq }) => seq)).toEqual(['1']);
});

test('one lane’s rows do not come into another’s batch', async () => {
  const { pool, rows } = await databaseWith(
    { billing: {}, audit: {} },
    `[{ match: '*', to: [billing, audit] }]`,
  );
  await writeEvents(pool, 5);
  const batches = await claim(pool, await soleRelay(pool), ['billing', 'audit']);
  expect(batches.map(({ lane, size }) => [lane, size])).toEqual([
    ['billing', 5],
    ['audit', 5],
  ]);
  expect(
    await rows(
      `select count(*)::int as strangers from outbox.deliveries d join outbox.batches b on b.id = d.batch_id where d.destination <> b.lane`,
    ),
  ).toEqual([{ strangers: 0 }]);
});

test('a scheduled event waits, and takes its turn at the tail when it is due', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  await pool.query(
    `insert into outbox.events (type, payload, deliver_at)
     values ('second', '{}', now() + interval '300 ms'), ('first', '{}', now() + interval '200 ms'), ('far', '{}', now() + interval '1 hour')`,
  );
  const relay = await soleRelay(pool);
  expect(await promoteDue(pool, 100)).toBe(0);
  expect(await claim(pool, relay)).toEqual([]);
  await writeEvents(pool, 1, 'now');
  await eventually(async () =>
    expect(
      await rows(`select 1 from outbox.deliveries where state = 'scheduled' and due_at <= now()`),
    ).toHaveLength(2),
  );
  expect(await promoteDue(pool, 100)).toBe(2);
  const [batch] = await claim(pool, relay);
  const order = await rows<{ type: string }>(
    'select e.type from outbox.deliveries d join outbox.events e on e.id = d.event_id where d.batch_id = $1 order by d.seq',
    [batch?.batchId],
  );
  expect(order.map(({ type }) => type)).toEqual(['now', 'first', 'second']);
});

test('an event whose time is past goes at once', async () => {
  const { pool } = await databaseWith({ billing: {} });
  await pool.query(
    `insert into outbox.events (type, payload, deliver_at) values ('a', '{}', now() - interval '1 day')`,
  );
  expect(await claim(pool, await soleRelay(pool))).toHaveLength(1);
});

test('promotions at once, of several relays, move each row once', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  await pool.query(
    `insert into outbox.events (type, payload, deliver_at) select 'a', '{}', now() + interval '1 hour' from generate_series(1, 500)`,
  );
  await pool.query(`update outbox.deliveries set due_at = now() - interval '1 s'`);
  const moved = await Promise.all(Array.from({ length: 5 }, () => promoteDue(pool, 200)));
  expect(moved.every((count) => count <= 200)).toBe(true);
  const [{ pending, seqs } = { pending: 0, seqs: 0 }] = await rows<{ pending: number; seqs: number }>(
    `select count(*)::int as pending, count(distinct seq)::int as seqs from outbox.deliveries where state = 'pending'`,
  );
  expect(pending).toBe(moved.reduce((sum, count) => sum + count));
  expect(seqs).toBe(pending);
});

test('a claim that never reached Temporal goes back whole, and is claimed again', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const batch = await claimedBatch(pool, 3);
  await releaseBatch(pool, batch);
  expect(await rows('select 1 from outbox.batches')).toEqual([]);
  expect((await claim(pool, batch.relay)).map(({ size }) => size)).toEqual([3]);
});

test('a claim that somebody opened meanwhile does not go back', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const batch = await claimedBatch(pool, 3);
  await openRun(pool, batch.workflowId);
  await releaseBatch(pool, batch);
  expect((await rowsOfBatch(pool, batch.batchId)).map(({ state }) => state)).toEqual([
    'claimed',
    'claimed',
    'claimed',
  ]);
});

test('a claim that its own relay opened goes back, until somebody opens it again', async () => {
  const { pool } = await databaseWith({ billing: {} });
  await writeEvents(pool, 1);
  const relay = await soleRelay(pool);
  const open = () => claimOpen(pool, relay);
  const [first] = await open();
  if (first !== undefined) await releaseBatch(pool, first);
  const [second] = await open();
  expect(second?.size).toBe(1);
  await openRun(pool, second?.workflowId ?? '');
  if (second !== undefined) await releaseBatch(pool, second);
  expect(await open()).toEqual([]);
});
