import { expect, test } from 'vitest';
import { acknowledge, finishAttempt, recordFailures } from '../../src/storage/attempts.ts';
import {
  adoptTemporal,
  batchesToCheck,
  bindTemporal,
  laneOfWorkflow,
  parkBatch,
} from '../../src/storage/recovery.ts';
import {
  claim,
  claimedBatch,
  databaseWith,
  failure,
  openRun,
  rowsOfBatch,
  soleRelay,
  writeEvents,
} from './fixtures.ts';

test('a batch is looked at when it is old enough, then not again for as long', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { batchId, workflowId } = await claimedBatch(pool, 1);
  expect(await batchesToCheck(pool, 60_000, 10)).toEqual([]);
  await pool.query(`update outbox.batches set claimed_at = now() - interval '2 min'`);
  expect(await batchesToCheck(pool, 60_000, 10)).toEqual([
    { batchId, workflowId, lane: 'billing', run: 0, pauseNoted: false },
  ]);
  expect(await batchesToCheck(pool, 60_000, 10)).toEqual([]);
  await pool.query(`update outbox.batches set checked_at = now() - interval '2 min'`);
  expect(await batchesToCheck(pool, 60_000, 10)).toHaveLength(1);
});

test('a batch that an execution opened a moment ago needs no look', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { workflowId } = await claimedBatch(pool, 1);
  await pool.query(`update outbox.batches set claimed_at = now() - interval '2 min'`);
  await openRun(pool, workflowId);
  expect(await batchesToCheck(pool, 60_000, 10)).toEqual([]);
});

test('the batch whose look is longest ago comes first, and two relays look at different ones', async () => {
  const { pool, rows } = await databaseWith({ billing: { maximum: 1, inFlight: 16 } });
  const relay = await soleRelay(pool);
  await writeEvents(pool, 10);
  for (let n = 0; n < 10; n += 1) await claim(pool, relay, ['billing'], 0);
  await pool.query(`update outbox.batches set claimed_at = now() - interval '1 hour'`);
  await pool.query(
    `update outbox.batches set checked_at = now() - interval '30 min' where id in (select id from outbox.batches order by id limit 4)`,
  );
  const looks = await Promise.all([batchesToCheck(pool, 60_000, 3), batchesToCheck(pool, 60_000, 3)]);
  const looked = looks.flat().map(({ batchId }) => batchId);
  expect(new Set(looked).size).toBe(6);
  const [{ never } = { never: -1 }] = await rows<{ never: number }>(
    'select count(*)::int as never from outbox.batches where checked_at is null',
  );
  expect(never).toBe(0);
});

test('parking a batch keeps its attempts, says why, and leaves what was parked before', async () => {
  const { pool, rows } = await databaseWith({ billing: { splitUpTo: 0 } });
  const { workflowId, batchId } = await claimedBatch(pool, 3);
  const opened = await openRun(pool, workflowId);
  const [first, second] = await rowsOfBatch(pool, batchId);
  if (first === undefined || second === undefined) throw new Error('no rows');
  await recordFailures(pool, opened, [failure(first), failure(second, { park: 'exhausted' })]);
  expect(await parkBatch(pool, workflowId, 'terminated')).toBe(3);
  expect(
    await rows(
      'select reason, tries, attempts, last_status, last_error_class, last_error from outbox.dead_letters order by id',
    ),
  ).toEqual([
    {
      reason: 'exhausted',
      tries: 1,
      attempts: 1,
      last_status: 500,
      last_error_class: 'http-500',
      last_error: 'it said no',
    },
    // What it met last, although this is not why it is parked.
    {
      reason: 'terminated',
      tries: 1,
      attempts: 1,
      last_status: 500,
      last_error_class: 'http-500',
      last_error: 'it said no',
    },
    {
      reason: 'terminated',
      tries: 0,
      attempts: 0,
      last_status: null,
      last_error_class: null,
      last_error: null,
    },
  ]);
  expect(await rows('select active, open from outbox.batches')).toEqual([{ active: false, open: 0 }]);
  // Twice changes nothing.
  expect(await parkBatch(pool, workflowId, 'canceled')).toBe(3);
  expect(await rows('select 1 from outbox.dead_letters')).toHaveLength(3);
});

test('parking a batch that is settled, or none, is nothing', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 1);
  const opened = await openRun(pool, workflowId);
  await acknowledge(
    pool,
    opened,
    (await rowsOfBatch(pool, batchId)).map(({ seq }) => seq),
    true,
  );
  expect(await parkBatch(pool, workflowId, 'terminated')).toBe(0);
  expect(await laneOfWorkflow(pool, workflowId)).toBeUndefined();
  expect(await parkBatch(pool, 'deliver/none', 'terminated')).toBe(0);
  expect(await rows('select 1 from outbox.dead_letters')).toEqual([]);
});

test('a database binds to the namespace it first works with', async () => {
  const { pool } = await databaseWith({ billing: {} });
  expect(await bindTemporal(pool, 'first')).toBe('first');
  expect(await bindTemporal(pool, 'second')).toBe('first');
});

test('adopted by another Temporal: claims return, what retries or is parked keeps its batch and waits for its workflow', async () => {
  const { pool, rows } = await databaseWith({ billing: { maximum: 3, inFlight: 16, splitUpTo: 0 } });
  await bindTemporal(pool, 'old');
  const relay = await soleRelay(pool);
  await writeEvents(pool, 6);
  const [held] = await claim(pool, relay);
  const [unstarted] = await claim(pool, relay);
  const opened = await openRun(pool, held?.workflowId ?? '');
  const [first, second] = await rowsOfBatch(pool, opened.batchId);
  if (first === undefined || second === undefined) throw new Error('no rows');
  await recordFailures(pool, opened, [failure(first), failure(second, { park: 'exhausted' })]);

  expect(await adoptTemporal(pool, 'new')).toBe(4);
  expect(await rows('select state, count(*)::int as n from outbox.deliveries group by 1 order by 1')).toEqual(
    [
      { state: 'parked', n: 1 },
      { state: 'pending', n: 4 },
      { state: 'retry', n: 1 },
    ],
  );
  expect(await laneOfWorkflow(pool, unstarted?.workflowId ?? '')).toBeUndefined();
  // The old store's activity, should it still run, is fenced; the batch is soon looked at.
  expect(await finishAttempt(pool, opened, [], { maxSingles: 200, keep: true })).toBeNull();
  expect(await batchesToCheck(pool, 0, 10)).toMatchObject([{ workflowId: held?.workflowId }]);
  expect(await claim(pool, relay, ['billing'], 0)).toHaveLength(1);
  expect(await rows('select temporal_namespace_id, temporal_epoch from outbox.settings')).toEqual([
    { temporal_namespace_id: 'new', temporal_epoch: 2 },
  ]);
  expect(await adoptTemporal(pool, 'new')).toBe(0);
});
