/** The state of a circuit is in PostgreSQL: processes and workflows may go. */
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { eventually, spawnRun, startRun } from '../support/index.ts';
import {
  allDelivered,
  auditOf,
  charged,
  command,
  deadLetters,
  openStage,
  openWorkflows,
  stands,
} from './stage.ts';
import { onlyWithEverything } from '../support/everything.ts';

test('kill -9 of the only process while the circuit is open: the next one goes on probing, and nothing is charged', async (context) => {
  onlyWithEverything(context, 'kills');
  const stage = await openStage({ answer: 503, run: false });
  const { url } = stage.database;
  const first = spawnRun({ databaseUrl: url });
  const ids = await stage.send(200);
  await eventually(async () => expect((await stands(stage, 'open')).failedProbes).toBeGreaterThanOrEqual(1), {
    timeout: 40_000,
  });
  await first.kill();
  const { failedProbes } = await stage.standing();
  await startRun({ databaseUrl: url });
  // A probe that died with its worker is found by its heartbeats, which takes 20 s.
  await eventually(async () => expect((await stage.standing()).failedProbes).toBeGreaterThan(failedProbes), {
    timeout: 50_000,
  });
  stage.billing.answer(204);
  await allDelivered(stage.database, ids, { timeout: 60_000 });
  expect([await charged(stage.database), await deadLetters(stage.database)]).toEqual([0, 0]);
}, 180_000);

test('kill -9 in the middle of a probe: the next probe returns what it held, keys and all', async (context) => {
  onlyWithEverything(context, 'kills');
  const stage = await openStage({ answer: 503, run: false, billing: 'ordering: key, timeout: 30s' });
  const { url, pool } = stage.database;
  const first = spawnRun({ databaseUrl: url });
  const events = Array.from({ length: 60 }, (_, number) => ({
    type: 'order.created',
    key: `k${number % 3}`,
    payload: { number },
  }));
  const ids = (await enqueue(pool, events, { ownTransaction: true })).map(({ id }) => id);
  await stands(stage, 'open');
  stage.billing.answer({ status: 204, delayMs: 20_000 });
  // One that was sent before may be under way still: a probe's is begun after it.
  await eventually(
    async () => {
      const held = await stage.database.rows('select from outbox.batches where checked_at > now()');
      expect(held).toHaveLength(1);
    },
    { timeout: 40_000 },
  );
  await first.kill();
  stage.billing.answer(204);
  await startRun({ databaseUrl: url });
  // Noticed by its heartbeats, which takes 20 s, and far from the 90 s for which it was kept from the reconciler.
  await allDelivered(stage.database, ids, { timeout: 60_000 });
  expect([await charged(stage.database), await deadLetters(stage.database)]).toEqual([0, 0]);
}, 180_000);

test('a terminated workflow of a destination is started again; what the circuit was stays', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const stage = await openStage({ answer: 503 });
  const ids = await stage.send(50);
  await stands(stage, 'open');
  const handle = stage.client.workflow.getHandle(stage.workflowId);
  await eventually(async () => expect((await handle.describe()).status.name).toBe('RUNNING'));
  const { runId } = await handle.describe();
  await handle.terminate('a person wanted it gone');
  expect((await stage.standing()).state).toBe('open');
  // Still refused: a probe that was under way would close the circuit, and nobody need start a workflow.
  await eventually(async () => expect((await handle.describe()).runId).not.toBe(runId), { timeout: 40_000 });
  stage.billing.answer(204);
  await allDelivered(stage.database, ids);
});

test('two processes share one circuit: it opens once, both stop, one workflow probes, both go on', async () => {
  const stage = await openStage({ answer: 503, run: false });
  const { url } = stage.database;
  const runs = await Promise.all([startRun({ databaseUrl: url }), startRun({ databaseUrl: url })]);
  expect(runs).toHaveLength(2);
  const ids = await stage.send(1_000);
  await eventually(async () => expect((await stands(stage, 'open')).failedProbes).toBeGreaterThanOrEqual(2));
  expect(stage.billing.requests.length).toBeLessThan(400);
  expect(await openWorkflows(stage)).toMatchObject({ destination: 1 });
  stage.billing.answer(204);
  await allDelivered(stage.database, ids);
  expect((await auditOf(stage.database)).map(({ action }) => action)).toEqual(['open', 'close']);
  expect(await charged(stage.database)).toBe(0);
});

test('a person’s pause holds in every process, and while it is open too', async () => {
  const stage = await openStage({ answer: 503 });
  const ids = await stage.send(50);
  await stands(stage, 'open');
  await command(stage, 'pause', { reason: 'let them repair it' });
  const { length } = stage.billing.requests;
  stage.billing.answer(204);
  await stage.sendHealthy(50).then((others) => allDelivered(stage.database, others));
  expect(stage.billing.requests).toHaveLength(length);
  await command(stage, 'resume');
  await allDelivered(stage.database, ids);
  await stands(stage, 'closed');
});
