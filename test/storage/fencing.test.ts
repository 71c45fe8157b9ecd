import { expect, test } from 'vitest';
import {
  acknowledge,
  breakUp,
  finishAttempt,
  recordFailures,
  summarize,
  type BatchRun,
} from '../../src/storage/attempts.ts';
import { parkBatch } from '../../src/storage/recovery.ts';
import type { TestDatabase } from '../support/index.ts';
import {
  claimedBatch,
  databaseWith,
  failure,
  openRun,
  rowsOfBatch,
  session,
  writeEvents,
} from './fixtures.ts';

const options = { maxSingles: 200, keep: true };

/** Everything that a write of an outcome could have changed. */
async function everything({ rows }: TestDatabase): Promise<unknown[]> {
  return [
    await rows('select * from outbox.deliveries order by seq'),
    await rows('select * from outbox.batches order by id'),
    ...(await Promise.all(
      ['delivered', 'attempts', 'dead_letters'].map((table) =>
        rows(`select count(*)::int as ${table} from outbox.${table}`),
      ),
    )),
  ];
}

test('each execution opens the next run; only the latest one writes', async () => {
  const database = await databaseWith({ billing: {} });
  const { pool } = database;
  const { workflowId, batchId } = await claimedBatch(pool, 3);
  const older = await openRun(pool, workflowId);
  const newer = await openRun(pool, workflowId);
  expect([older.run, newer.run]).toEqual([1, 2]);
  const rows = await rowsOfBatch(pool, batchId);
  const [first] = rows;
  if (first === undefined) throw new Error('no rows');

  const before = await everything(database);
  expect(await acknowledge(pool, older, [first.seq], true)).toBe(false);
  expect(await recordFailures(pool, older, [failure(first)])).toBe(false);
  expect(await recordFailures(pool, older, [failure(first, { park: 'exhausted' })])).toBe(false);
  expect(await finishAttempt(pool, older, [first.seq], options)).toBeNull();
  expect(await breakUp(pool, older)).toBeNull();
  expect(await everything(database)).toEqual(before);

  expect(await acknowledge(pool, newer, [first.seq], true)).toBe(true);
  expect(await rowsOfBatch(pool, batchId)).toHaveLength(2);
});

test('a run of another batch touches nothing of this one', async () => {
  const database = await databaseWith({ billing: { maximum: 1, inFlight: 16 } });
  const { pool } = database;
  const mine = await claimedBatch(pool, 1);
  const opened = await openRun(pool, mine.workflowId);
  const [row] = await rowsOfBatch(pool, mine.batchId);
  const strange: BatchRun = { batchId: '00000000-0000-4000-8000-000000000000', run: opened.run };
  expect(await acknowledge(pool, strange, [row?.seq ?? ''], true)).toBe(false);
  expect(await rowsOfBatch(pool, mine.batchId)).toHaveLength(1);
});

test('a row number of another batch is not acknowledged with this one', async () => {
  const { pool } = await databaseWith({ billing: { maximum: 1, inFlight: 16 } });
  const mine = await claimedBatch(pool, 1);
  await writeEvents(pool, 1);
  const opened = await openRun(pool, mine.workflowId);
  expect(await acknowledge(pool, opened, ['2'], true)).toBe(true);
  expect(await pool.query(`select 1 from outbox.deliveries where seq = 2`)).toMatchObject({ rowCount: 1 });
});

test('an execution that waits behind the one before it sees what that one settled', async () => {
  const { pool, url } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 3);
  const older = await openRun(pool, workflowId);
  const [first] = await rowsOfBatch(pool, batchId);
  const writing = await session(url);
  await writing.query('begin');
  await writing.query('select outbox.acknowledge($1, $2, $3, true)', [batchId, older.run, [first?.seq]]);
  const opening = pool.query<{ seq: string }>(
    `select r.seq::text from outbox.open_batch($1) o cross join lateral outbox.load_rows(o.batch_id, 0, 100, 1000000) r`,
    [workflowId],
  );
  await writing.query('select pg_sleep(0.1)');
  await writing.query('commit');
  expect((await opening).rows.map(({ seq }) => seq)).toEqual(['2', '3']);
});

test('acknowledged rows leave the hot table, remembered or not', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, batchId, events } = await claimedBatch(pool, 2);
  const opened = await openRun(pool, workflowId);
  const [first, second] = await rowsOfBatch(pool, batchId);
  await acknowledge(pool, opened, [first?.seq ?? ''], true);
  await acknowledge(pool, opened, [second?.seq ?? ''], false);
  expect(await rows('select event_id, destination, revision, tries from outbox.delivered')).toEqual([
    { event_id: events[0], destination: 'billing', revision: 1, tries: 1 },
  ]);
  expect(await rows('select 1 from outbox.deliveries')).toEqual([]);
});

test('an acknowledgement repeated because its answer was lost is remembered once', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 2);
  const opened = await openRun(pool, workflowId);
  const seqs = (await rowsOfBatch(pool, batchId)).map(({ seq }) => seq);
  for (let n = 0; n < 2; n += 1) expect(await acknowledge(pool, opened, seqs, true)).toBe(true);
  expect(await rows('select 1 from outbox.delivered')).toHaveLength(2);
});

test('a failure repeated because its answer was lost is charged once', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 1);
  const opened = await openRun(pool, workflowId);
  const [row] = await rowsOfBatch(pool, batchId);
  if (row === undefined) throw new Error('no row');
  for (let n = 0; n < 3; n += 1) expect(await recordFailures(pool, opened, [failure(row)])).toBe(true);
  expect(await rowsOfBatch(pool, batchId)).toMatchObject([{ state: 'retry', tries: 1, attempts: 1 }]);
  expect(await rows('select try, charged from outbox.attempts')).toEqual([{ try: 1, charged: true }]);
});

test('a parking repeated because its answer was lost makes one dead letter', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 1);
  const opened = await openRun(pool, workflowId);
  const [row] = await rowsOfBatch(pool, batchId);
  if (row === undefined) throw new Error('no row');
  for (let n = 0; n < 2; n += 1) await recordFailures(pool, opened, [failure(row, { park: 'exhausted' })]);
  expect(await rows('select park_no, reason, attempts, tries from outbox.dead_letters')).toEqual([
    { park_no: 1, reason: 'exhausted', attempts: 1, tries: 1 },
  ]);
});

test('unreachable tries are counted apart and spend no attempts', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 1);
  const opened = await openRun(pool, workflowId);
  for (const [charged, expected] of [
    [false, { tries: 1, attempts: 0, unreachable: 1 }],
    [false, { tries: 2, attempts: 0, unreachable: 2 }],
    [true, { tries: 3, attempts: 1, unreachable: 0 }],
  ] as const) {
    const [row] = await rowsOfBatch(pool, batchId);
    if (row === undefined) throw new Error('no row');
    await recordFailures(pool, opened, [failure(row, { charged })]);
    expect(await rowsOfBatch(pool, batchId)).toMatchObject([expected]);
  }
});

test('the clock of a delivery starts with its first attempt and is not set again', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 1);
  const opened = await openRun(pool, workflowId);
  const firstAttempt = async () =>
    (await rows<{ at: Date }>('select first_attempt_at as at from outbox.deliveries'))[0]?.at.getTime();
  const [row] = await rowsOfBatch(pool, batchId);
  if (row === undefined) throw new Error('no row');
  await recordFailures(pool, opened, [failure(row, { durationMs: 60_000 })]);
  const at = await firstAttempt();
  expect(Date.now() - (at ?? 0)).toBeGreaterThan(59_000);
  await recordFailures(pool, opened, [failure({ seq: row.seq, tries: 1 }, { durationMs: 5 })]);
  expect(await firstAttempt()).toBe(at);
});

test('parking a batch from outside fences the activity that still sends', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 2);
  const opened = await openRun(pool, workflowId);
  expect(await parkBatch(pool, workflowId, 'terminated')).toBe(2);
  const [row] = await rowsOfBatch(pool, batchId);
  expect(await acknowledge(pool, opened, [row?.seq ?? ''], true)).toBe(false);
  expect(await summarize(pool, workflowId, batchId)).toMatchObject({ left: 2, parked: 2 });
});

test('rows are loaded in order, in chunks by number and by bytes, and one at least', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { batchId } = await claimedBatch(pool, 5);
  const load = async (after: number, limit: number, bytes: number) =>
    (
      await pool.query<{ seq: string }>('select seq::text from outbox.load_rows($1, $2, $3, $4)', [
        batchId,
        after,
        limit,
        bytes,
      ])
    ).rows.map(({ seq }) => Number(seq));
  expect(await load(0, 2, 1000)).toEqual([1, 2]);
  expect(await load(2, 100, 1000)).toEqual([3, 4, 5]);
  expect(await load(5, 100, 1000)).toEqual([]);
  // Each payload is 8 bytes.
  expect(await load(0, 100, 16)).toEqual([1, 2]);
  expect(await load(0, 100, 17)).toEqual([1, 2, 3]);
  expect(await load(0, 100, 1)).toEqual([1]);
});

test('of rows that failed, only those due are loaded again', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { workflowId, batchId } = await claimedBatch(pool, 3);
  const opened = await openRun(pool, workflowId);
  const [first, second, third] = await rowsOfBatch(pool, batchId);
  if (first === undefined || second === undefined || third === undefined) throw new Error('no rows');
  await recordFailures(pool, opened, [
    failure(first, { delayMs: 60_000 }),
    failure(second, { delayMs: 0 }),
    failure(third, { park: 'permanent' }),
  ]);
  const { rows } = await pool.query<{ seq: string }>(
    'select seq::text from outbox.load_rows($1, 0, 100, 1000000)',
    [batchId],
  );
  expect(rows.map(({ seq }) => seq)).toEqual([second.seq]);
});

test('an event whose payload was moved to events_kept is still loaded', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { batchId } = await claimedBatch(pool, 1);
  const load = () => pool.query('select type, payload from outbox.load_rows($1, 0, 100, 1000000)', [batchId]);
  await pool.query('insert into outbox.events_kept select * from outbox.events; delete from outbox.events');
  expect((await load()).rows).toEqual([{ type: 'order.created', payload: '{"n": 1}' }]);
  await pool.query('delete from outbox.events_kept');
  expect((await load()).rows).toEqual([{ type: null, payload: null }]);
});
