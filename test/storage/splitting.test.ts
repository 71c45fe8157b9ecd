import { expect, test } from 'vitest';
import {
  breakUp,
  finishAttempt,
  recordFailures,
  summarize,
  type FailureRow,
} from '../../src/storage/attempts.ts';
import type { Queryable } from '../../src/storage/connect.ts';
import { claim, claimedBatch, databaseWith, failure, openRun, rowsOfBatch, writeEvents } from './fixtures.ts';

const options = { maxSingles: 200, keep: true };

/** A batch of `failing` refused rows and `sent` acknowledged ones, its attempt ended. */
async function attempted(
  db: Queryable,
  failing: number,
  sent: number,
  over: Partial<FailureRow> = {},
  finish = options,
) {
  const batch = await claimedBatch(db, failing + sent);
  const opened = await openRun(db, batch.workflowId);
  const rows = await rowsOfBatch(db, batch.batchId);
  await recordFailures(
    db,
    opened,
    rows.slice(0, failing).map((row) => failure(row, over)),
  );
  const acknowledged = rows.slice(failing).map(({ seq }) => seq);
  return { ...batch, opened, rows, summary: await finishAttempt(db, opened, acknowledged, finish) };
}

test('a batch whose rows all arrived is gone, with its last acknowledgements', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { summary, opened } = await attempted(pool, 0, 4);
  expect(summary).toEqual({
    left: 0,
    unsent: 0,
    retrying: 0,
    nextDueMs: null,
    parked: 0,
    rows: [],
    singles: [],
  });
  expect(await rows('select 1 from outbox.batches')).toEqual([]);
  expect(await rows('select 1 from outbox.delivered')).toHaveLength(4);
  // Repeated because its answer was lost: fenced, and the summary says the same.
  expect(await finishAttempt(pool, opened, [], options)).toBeNull();
});

test('a few failures get a workflow each, named after the event, and the batch is gone', async () => {
  const { pool, rows, name } = await databaseWith({ billing: { splitUpTo: 3 } });
  const { summary, batchId, events } = await attempted(pool, 3, 2);
  expect(summary).toMatchObject({ left: 0 });
  expect(summary?.singles).toEqual(
    events.slice(0, 3).map((eventId) => ({
      workflowId: `${name}/deliver/billing/${eventId}`,
      lane: 'billing',
      eventId,
      eventType: 'order.created',
    })),
  );
  expect(await rows('select single, active, open, size, parent from outbox.batches')).toEqual(
    Array(3).fill({ single: true, active: false, open: 0, size: 1, parent: batchId }),
  );
});

test('the split is in the rows: asked again, it is the same one, until its workflows have begun', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { summary, workflowId, batchId, opened } = await attempted(pool, 2, 0);
  expect(await finishAttempt(pool, opened, [], options)).toBeNull();
  expect((await summarize(pool, workflowId, batchId)).singles).toEqual(summary?.singles);
  await openRun(pool, summary?.singles[0]?.workflowId ?? '');
  expect((await summarize(pool, workflowId, batchId)).singles).toEqual(summary?.singles.slice(1));
});

test('more failures than splitUpTo stay together', async () => {
  const { pool } = await databaseWith({ billing: { splitUpTo: 3 } });
  const { summary, batchId } = await attempted(pool, 4, 2);
  expect(summary).toMatchObject({ left: 4, unsent: 0, retrying: 4, parked: 0, singles: [] });
  expect(summary?.nextDueMs).toBeGreaterThan(50_000);
  expect(await rowsOfBatch(pool, batchId)).toHaveLength(4);
});

test('with splitUpTo 0 nothing is split', async () => {
  const { pool } = await databaseWith({ billing: { splitUpTo: 0 } });
  expect((await attempted(pool, 1, 0)).summary).toMatchObject({ left: 1, singles: [] });
});

test('no more singles than a lane may have open', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const first = await attempted(pool, 2, 0, {}, { ...options, maxSingles: 3 });
  expect(first.summary?.singles).toHaveLength(2);
  const second = await claimAndFail(pool, first.relay, 2, 3);
  expect(second?.singles).toEqual([]);
  const third = await claimAndFail(pool, first.relay, 1, 3);
  expect(third?.singles).toHaveLength(1);
});

async function claimAndFail(db: Queryable, relay: string, failing: number, maxSingles: number) {
  await writeEvents(db, failing);
  const [batch] = await claim(db, relay, ['billing'], 0);
  const opened = await openRun(db, batch?.workflowId ?? '');
  await recordFailures(
    db,
    opened,
    (await rowsOfBatch(db, opened.batchId)).map((row) => failure(row)),
  );
  return finishAttempt(db, opened, [], { maxSingles, keep: true });
}

test('a parked delivery that is split off takes its dead letter with it', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { summary } = await attempted(pool, 1, 0, { park: 'exhausted' });
  expect(await rows('select workflow_id from outbox.dead_letters')).toEqual([
    { workflow_id: summary?.singles[0]?.workflowId },
  ]);
});

test('an attempt that left rows unsent splits nothing and keeps the rest in the window', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 3);
  const opened = await openRun(pool, workflowId);
  const [first] = await rowsOfBatch(pool, batchId);
  if (first === undefined) throw new Error('no row');
  await recordFailures(pool, opened, [failure(first)]);
  expect(await finishAttempt(pool, opened, [], options)).toMatchObject({
    left: 3,
    unsent: 2,
    retrying: 1,
    singles: [],
  });
  expect(await rows('select active, open from outbox.batches')).toEqual([{ active: true, open: 2 }]);
});

test('rows that retry or are parked do not fill the lane’s window', async () => {
  const { pool } = await databaseWith({ billing: { maximum: 2, inFlight: 1, splitUpTo: 0 } });
  const { relay } = await attempted(pool, 2, 0);
  await writeEvents(pool, 2);
  expect((await claim(pool, relay)).map(({ size }) => size)).toEqual([2]);
});

test('the summary of a large batch shows its first 20 rows', async () => {
  const { pool } = await databaseWith({ billing: { splitUpTo: 0 } });
  const { summary } = await attempted(pool, 30, 0);
  expect(summary?.retrying).toBe(30);
  expect(summary?.rows).toHaveLength(20);
  expect(summary?.rows[0]).toMatchObject({
    destination: 'billing',
    state: 'retry',
    tries: 1,
    attempts: 1,
    eventType: 'order.created',
    status: 500,
    errorClass: 'http-500',
  });
});

/** What executions that die without any outcome come to: every workflow of the batch opened and broken up in turn. */
test('a batch that kills its workers is broken into at most 32 parts, down to the one row, which is parked as poison', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const whole = await claimedBatch(pool, 100);
  const parts = await breakUp(pool, await openRun(pool, whole.workflowId));
  expect(parts).toMatchObject({ left: 0 });
  expect(parts?.singles).toHaveLength(32);
  const sizes = await rows<{ size: number; open: number }>(
    'select size, open from outbox.batches where parent = $1',
    [whole.batchId],
  );
  expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBe(100);
  expect(sizes.every(({ size, open }) => size === open && size <= 4)).toBe(true);

  const [part] = parts?.singles ?? [];
  const alone = await breakUp(pool, await openRun(pool, part?.workflowId ?? ''));
  expect(alone?.singles).toHaveLength(4);
  const last = await breakUp(pool, await openRun(pool, alone?.singles[0]?.workflowId ?? ''));
  expect(last).toMatchObject({ left: 0, singles: [{ lane: 'billing' }] });
  expect(await rows('select reason, last_error_class, workflow_id from outbox.dead_letters')).toEqual([
    { reason: 'poison', last_error_class: 'worker-lost', workflow_id: last?.singles[0]?.workflowId },
  ]);
  expect(await rows('select count(*)::int as rows from outbox.deliveries')).toEqual([{ rows: 100 }]);
});

test('parts keep the order of their rows', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const whole = await claimedBatch(pool, 64);
  const parts = await breakUp(pool, await openRun(pool, whole.workflowId));
  const firsts = [];
  for (const { workflowId } of parts?.singles ?? []) {
    const { batchId } = await openRun(pool, workflowId);
    firsts.push((await rowsOfBatch(pool, batchId)).map(({ seq }) => Number(seq)));
  }
  expect(firsts.flat()).toEqual(Array.from({ length: 64 }, (_, n) => n + 1));
});

test('a batch with something parked keeps that when the rest is broken up', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 3);
  const opened = await openRun(pool, workflowId);
  const [first] = await rowsOfBatch(pool, batchId);
  if (first === undefined) throw new Error('no row');
  await recordFailures(pool, opened, [failure(first, { park: 'permanent' })]);
  const summary = await breakUp(pool, await openRun(pool, workflowId));
  expect(summary).toMatchObject({ left: 1, parked: 1 });
  expect(summary?.singles).toHaveLength(2);
  expect(await rows('select workflow_id from outbox.dead_letters')).toEqual([{ workflow_id: workflowId }]);
});

test('executions that end without an outcome are counted until one has an outcome', async () => {
  const { pool } = await databaseWith({ billing: { splitUpTo: 0 } });
  const { workflowId, batchId } = await claimedBatch(pool, 2);
  const runs = [
    await openRun(pool, workflowId),
    await openRun(pool, workflowId),
    await openRun(pool, workflowId),
  ];
  expect(runs.map(({ fruitless }) => fruitless)).toEqual([0, 1, 2]);
  const latest = runs[2];
  if (latest === undefined) throw new Error('no run');
  await recordFailures(
    pool,
    latest,
    (await rowsOfBatch(pool, batchId)).map((row) => failure(row)),
  );
  await finishAttempt(pool, latest, [], options);
  expect((await openRun(pool, workflowId)).fruitless).toBe(0);
});
