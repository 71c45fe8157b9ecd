/** Whom the loss of a worker is charged to. */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  beginAlone,
  breakUp,
  finishAttempt,
  forgiveRun,
  openBatch,
  type OpenedRows,
} from '../../src/storage/attempts.ts';
import type { Queryable } from '../../src/storage/connect.ts';
import { claimedBatch, databaseWith } from './fixtures.ts';

const chunk = { rows: 100, bytes: 1_000_000 };

/** A process that is lost over nothing but what it began. */
async function open(db: Queryable, workflowId: string, by = randomUUID()): Promise<OpenedRows> {
  const opened = await openBatch(db, workflowId, by, chunk);
  if (opened === undefined) throw new Error(`no batch of ${workflowId}`);
  return opened;
}

/** A batch over which two processes were lost. */
async function suspect(db: Queryable, size = 1): Promise<string> {
  const { workflowId } = await claimedBatch(db, size);
  await open(db, workflowId);
  await open(db, workflowId);
  return workflowId;
}

const counted = ({ batch: { fruitless, suspect: isSuspect }, rows }: OpenedRows) => ({
  fruitless,
  isSuspect,
  rows: rows.length,
});

test('a batch over which two workers were lost is a suspect, and nothing of it is loaded before its turn', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { workflowId } = await claimedBatch(pool, 2);
  expect(counted(await open(pool, workflowId))).toEqual({ fruitless: 0, isSuspect: false, rows: 2 });
  expect(counted(await open(pool, workflowId))).toEqual({ fruitless: 1, isSuspect: false, rows: 2 });
  expect(counted(await open(pool, workflowId))).toEqual({ fruitless: 2, isSuspect: true, rows: 0 });
});

test('a suspect that waits for its turn is charged with no worker that is lost, however many', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const workflowId = await suspect(pool);
  for (let n = 0; n < 10; n++)
    expect(counted(await open(pool, workflowId))).toMatchObject({ fruitless: 2, isSuspect: true });
});

test('a worker that is lost in its turn is charged to it', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const workflowId = await suspect(pool);
  for (const fruitless of [2, 3, 4]) {
    const by = randomUUID();
    const { batch } = await open(pool, workflowId, by);
    expect(batch.fruitless).toBe(fruitless);
    expect(await beginAlone(pool, batch, by)).toEqual({ held: false });
  }
});

test('a process that comes back to its suspect was not lost over it', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const workflowId = await suspect(pool);
  const by = randomUUID();
  for (let n = 0; n < 5; n++) {
    const { batch } = await open(pool, workflowId, by);
    expect(batch.fruitless).toBe(2);
    await beginAlone(pool, batch, by);
  }
});

test('a turn that broke off in order is charged to nobody, and takes nothing off what was charged before', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const workflowId = await suspect(pool);
  for (let n = 0; n < 5; n++) {
    const by = randomUUID();
    const { batch } = await open(pool, workflowId, by);
    expect(batch.fruitless).toBe(2);
    if (n % 2 === 0) await beginAlone(pool, batch, by);
    await forgiveRun(pool, batch);
  }
});

test('who was fenced has no turn, and an outcome ends the suspicion', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const workflowId = await suspect(pool, 3);
  const { batch: late } = await open(pool, workflowId);
  const by = randomUUID();
  const { batch } = await open(pool, workflowId, by);
  expect(await beginAlone(pool, late, randomUUID())).toBeNull();
  await beginAlone(pool, batch, by);
  await finishAttempt(pool, batch, [], { maxSingles: 200, keep: true });
  expect(counted(await open(pool, workflowId))).toEqual({ fruitless: 0, isSuspect: false, rows: 3 });
});

test('the parts of a broken batch are suspects from the beginning', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const { workflowId } = await claimedBatch(pool, 2);
  const summary = await breakUp(pool, (await open(pool, workflowId)).batch);
  expect(summary?.singles).toHaveLength(2);
  for (const single of summary?.singles ?? [])
    expect(counted(await open(pool, single.workflowId))).toEqual({ fruitless: 2, isSuspect: true, rows: 0 });
});
