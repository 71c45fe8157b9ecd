/** A reset starts a run from the past and sends it the signals and updates once more. State comes from the rows. */
import { beforeAll, expect, test } from 'vitest';
import { signals, updates } from '../../workflows/contract.ts';
import { eventually } from '../support/index.ts';
import { auditOf, episodes, openStage, pageOf, settled, statusOf, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});

/** To its first workflow task, as the UI offers it. */
async function reset({ client }: Stage, workflowId: string): Promise<string> {
  const handle = client.workflow.getHandle(workflowId);
  const { events } = await handle.fetchHistory();
  const first = events?.find(({ workflowTaskCompletedEventAttributes: completed }) => completed != null);
  const { runId } = await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId },
    reason: 'by a test',
    requestId: crypto.randomUUID(),
    workflowTaskFinishEventId: first?.eventId ?? null,
  });
  return runId;
}

test('commands that a reset sends again are recognised and do nothing; new ones act', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  await handle.signal(signals.retry);
  await eventually(async () => expect(await episodes(stage.database, id)).toHaveLength(2));
  await handle.executeUpdate(updates.retry, { args: [{}] });
  await eventually(async () => expect(await episodes(stage.database, id)).toHaveLength(3));
  await eventually(async () => expect(await pageOf(stage.client, workflowId)).toContain('tried 3 times'));
  const before = await auditOf(stage.database, workflowId);
  expect(before.map(({ outcome }) => outcome)).toEqual(['done', 'done']);

  const runId = await reset(stage, workflowId);
  await eventually(async () => {
    const page = await pageOf(stage.client, workflowId);
    expect((await handle.describe()).runId).toBe(runId);
    expect(page).toContain('1 delivery parked');
    expect(page).toContain('tried 3 times');
    expect(page.match(/carried out before/g)).toHaveLength(2);
  });
  expect(await auditOf(stage.database, workflowId)).toEqual(before);
  expect(await episodes(stage.database, id)).toHaveLength(3);
  expect(stage.billing.of(id)).toHaveLength(3);

  stage.heal(id);
  await handle.signal(signals.retry);
  await settled(stage.database, [id]);
  expect(stage.billing.of(id)).toHaveLength(4);
});

test('a workflow reset while its delivery waits for the next try keeps attempts and does not try sooner', async () => {
  const slow = await openStage({
    billing: 'retry: { initialInterval: 5s, jitter: 0, nonRetryableStatusCodes: [] }',
  });
  const [id = ''] = await slow.write(1);
  const workflowId = `${slow.database.name}/deliver/billing/${id}`;
  await eventually(async () =>
    expect(await pageOf(slow.client, workflowId)).toContain('1 delivery retrying'),
  );
  await reset(slow, workflowId);
  await eventually(() => expect(slow.billing.of(id)).toHaveLength(2));
  const [first, second] = slow.billing.of(id);
  expect((second?.receivedAtMs ?? 0) - (first?.receivedAtMs ?? 0)).toBeGreaterThanOrEqual(4_990);
  expect(second?.attempt).toBe(2);
});

test('a reset of a completed workflow sends nothing and ends again', async () => {
  const { id, workflowId } = await stage.parkOne();
  stage.heal(id);
  await stage.client.workflow.getHandle(workflowId).signal(signals.retry);
  await settled(stage.database, [id]);
  await eventually(async () => expect(await statusOf(stage.client, workflowId)).toBe('COMPLETED'));
  const runId = await reset(stage, workflowId);
  await eventually(async () => {
    const description = await stage.client.workflow.getHandle(workflowId).describe();
    expect(description.runId).toBe(runId);
    expect(description.status.name).toBe('COMPLETED');
  });
  expect(stage.billing.of(id)).toHaveLength(2);
  expect(await stage.database.rows('select 1 from outbox.delivered where event_id = $1', [id])).toHaveLength(
    1,
  );
  expect(await episodes(stage.database, id)).toHaveLength(1);
});
