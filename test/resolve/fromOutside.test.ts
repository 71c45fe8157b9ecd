/** Cancel and terminate, from the Temporal UI or in bulk, must lose nothing: the rows say what is to be done. */
import { beforeAll, expect, test } from 'vitest';
import { signals } from '../../workflows/contract.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { eventually } from '../support/index.ts';
import { openDeadLetters, openStage, pageOf, runOf, settled, statusOf, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ billing: 'retry: { initialInterval: 1h, maximumInterval: 1h, jitter: 0 }' });
});

/** Visibility tells the relay, which looks every five seconds. */
const withinSeconds = { timeout: 30_000 };

/** A workflow of that id that began after the given run, alive. */
async function successor(workflowId: string, runId: string): Promise<void> {
  await eventually(async () => {
    expect(await runOf(stage.client, workflowId)).not.toBe(runId);
    expect(await statusOf(stage.client, workflowId)).toBe('RUNNING');
  }, withinSeconds);
}

/** A delivery that was refused once and is to be tried again in an hour. */
async function retrying(): Promise<{ id: string; workflowId: string }> {
  const { id } = await enqueue(
    stage.database.pool,
    { type: 'order.created', payload: { answer: 500 } },
    { ownTransaction: true },
  );
  const workflowId = `${stage.database.name}/deliver/billing/${id}`;
  await eventually(async () =>
    expect(await pageOf(stage.client, workflowId)).toContain('1 delivery retrying'),
  );
  return { id, workflowId };
}

test('a terminated workflow leaves its parked row parked, is made again within seconds, and delivers on retry', async () => {
  const { id, workflowId } = await stage.parkOne();
  const run = await runOf(stage.client, workflowId);
  await stage.client.workflow.getHandle(workflowId).terminate('by a person');
  await successor(workflowId, run);
  expect(await openDeadLetters(stage.database, [id])).toMatchObject([
    { park_no: 1, attempts: 1, tries: 1, reason: 'permanent', workflow_id: workflowId },
  ]);
  await eventually(async () => expect(await pageOf(stage.client, workflowId)).toContain('1 delivery parked'));
  stage.heal(id);
  await stage.client.workflow.getHandle(workflowId).signal(signals.retry);
  await settled(stage.database, [id]);
  expect(stage.billing.of(id).map(({ attempt }) => attempt)).toEqual([1, 2]);
});

test.for(['terminate', 'cancel'] as const)(
  '%s while a delivery is waiting for its next try parks it with that reason, attempts kept, and sends nothing',
  async (how) => {
    const { id, workflowId } = await retrying();
    const run = await runOf(stage.client, workflowId);
    await stage.client.workflow.getHandle(workflowId)[how]();
    await successor(workflowId, run);
    const reason = how === 'cancel' ? 'canceled' : 'terminated';
    expect(await openDeadLetters(stage.database, [id])).toMatchObject([{ reason, attempts: 1, tries: 1 }]);
    await eventually(async () =>
      expect(await pageOf(stage.client, workflowId)).toContain(`its workflow was`),
    );
    expect(stage.billing.of(id)).toHaveLength(1);

    stage.heal(id);
    await stage.client.workflow.getHandle(workflowId).signal(signals.retry);
    await settled(stage.database, [id]);
  },
);

test('a cancelled workflow that holds parked rows only is made again and waits as before', async () => {
  const { id, workflowId } = await stage.parkOne();
  const run = await runOf(stage.client, workflowId);
  await stage.client.workflow.getHandle(workflowId).cancel();
  await successor(workflowId, run);
  expect(await openDeadLetters(stage.database, [id])).toMatchObject([{ park_no: 1, reason: 'permanent' }]);
  stage.heal(id);
  await stage.client.workflow.getHandle(workflowId).signal(signals.retry);
  await settled(stage.database, [id]);
});

test('many workflows terminated at a time each come back, and none of their rows is lost', async () => {
  const parked = await Promise.all(Array.from({ length: 4 }, () => stage.parkOne()));
  const together = await stage.park(8);
  const workflowIds = new Set([
    ...parked.map(({ workflowId }) => workflowId),
    ...(await openDeadLetters(stage.database, together)).map((row) => row.workflow_id),
  ]);
  const runs = new Map(
    await Promise.all([...workflowIds].map(async (id) => [id, await runOf(stage.client, id)] as const)),
  );
  await Promise.all([...workflowIds].map((id) => stage.client.workflow.getHandle(id).terminate()));
  await Promise.all([...runs].map(([workflowId, run]) => successor(workflowId, run)));
  const ids = [...parked.map(({ id }) => id), ...together];
  expect(await openDeadLetters(stage.database, ids)).toHaveLength(12);

  stage.heal(...ids);
  await Promise.all([...workflowIds].map((id) => stage.client.workflow.getHandle(id).signal(signals.retry)));
  await settled(stage.database, ids);
  for (const id of ids) expect(stage.billing.of(id)).toHaveLength(2);
});

test('a workflow terminated in the middle of a request parks the event, and the late answer changes nothing', async () => {
  const payload = { delayMs: 10_000 };
  const { id } = await enqueue(
    stage.database.pool,
    { type: 'order.created', payload },
    { ownTransaction: true },
  );
  await eventually(() => expect(stage.billing.of(id)).toHaveLength(1));
  const [row] = await stage.database.rows<{ workflow_id: string }>(
    'select workflow_id from outbox.deliveries d join outbox.batches b on b.id = d.batch_id where event_id = $1',
    [id],
  );
  await stage.client.workflow.getHandle(row?.workflow_id ?? '').terminate();
  await eventually(
    async () => expect(await openDeadLetters(stage.database, [id])).toMatchObject([{ reason: 'terminated' }]),
    withinSeconds,
  );
  const answeredAt = (stage.billing.of(id)[0]?.receivedAtMs ?? 0) + payload.delayMs;
  await new Promise((resolve) => setTimeout(resolve, answeredAt - Date.now() + 1_000));
  expect(await openDeadLetters(stage.database, [id])).toHaveLength(1);
  expect(await stage.database.rows('select 1 from outbox.delivered where event_id = $1', [id])).toEqual([]);
});
