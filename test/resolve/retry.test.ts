import { beforeAll, expect, test } from 'vitest';
import { signals, updates } from '../../workflows/contract.ts';
import { eventually } from '../support/index.ts';
import { auditOf, episodes, openStage, settled, statusOf, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({
    billing: 'retry: { initialInterval: 50ms, maximumAttempts: 2, nonRetryableStatusCodes: [] }',
  });
});

test('retry by signal sends a parked event again under the same key, and its workflow ends', async () => {
  const { id, workflowId } = await stage.parkOne();
  stage.heal(id);
  await stage.client.workflow
    .getHandle(workflowId)
    .signal(signals.retry, { actor: 'ada', reason: 'fixed there' });
  await settled(stage.database, [id]);
  expect(stage.billing.of(id).map(({ key, attempt }) => `${key} ${attempt}`)).toEqual([
    `billing/${id} 1`,
    `billing/${id} 2`,
    `billing/${id} 3`,
  ]);
  expect(await episodes(stage.database, id)).toMatchObject([
    {
      resolution: 'retry',
      resolved_by: 'ada',
      resolution_reason: 'fixed there',
      reason: 'attempts-exhausted',
    },
  ]);
  expect(await auditOf(stage.database, workflowId)).toMatchObject([
    { action: 'retry', via: 'signal', actor: 'ada', outcome: 'done', events: 1 },
  ]);
  await eventually(async () => expect(await statusOf(stage.client, workflowId)).toBe('COMPLETED'));
});

test('retry by update answers what was done', async () => {
  const { id, workflowId } = await stage.parkOne();
  stage.heal(id);
  const answer = await stage.client.workflow
    .getHandle(workflowId)
    .executeUpdate(updates.retry, { args: [{}] });
  expect(answer).toEqual({ outcome: 'done', message: `event ${id} sent again`, events: 1 });
  await settled(stage.database, [id]);
  expect(await auditOf(stage.database, workflowId)).toMatchObject([{ via: 'update', outcome: 'done' }]);
});

test('retry gives the whole policy afresh: refused as often again, it parks again as a new episode', async () => {
  const { id, workflowId } = await stage.parkOne();
  await stage.client.workflow.getHandle(workflowId).signal(signals.retry);
  await eventually(async () => {
    expect(await episodes(stage.database, id)).toMatchObject([
      { park_no: 1, attempts: 2, tries: 2, resolution: 'retry' },
      { park_no: 2, attempts: 2, tries: 4, resolution: null },
    ]);
  });
  expect(new Set(stage.billing.of(id).map(({ key }) => key))).toEqual(new Set([`billing/${id}`]));
  expect(await statusOf(stage.client, workflowId)).toBe('RUNNING');
});
