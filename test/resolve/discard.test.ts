import { beforeAll, expect, test } from 'vitest';
import { signals } from '../../workflows/contract.ts';
import { eventually } from '../support/index.ts';
import { auditOf, episodes, openStage, settled, statusOf, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});

test('discard gives an event up for the record: nothing is sent, who and why are kept', async () => {
  const { id, workflowId } = await stage.parkOne();
  await stage.client.workflow
    .getHandle(workflowId)
    .signal(signals.discard, { actor: 'ada', reason: 'test order' });
  await settled(stage.database, [id]);
  await eventually(async () => expect(await statusOf(stage.client, workflowId)).toBe('COMPLETED'));
  expect(stage.billing.of(id)).toHaveLength(1);
  expect(await episodes(stage.database, id)).toMatchObject([
    { resolution: 'discard', resolved_by: 'ada', resolution_reason: 'test order' },
  ]);
  expect(await stage.database.rows('select 1 from outbox.delivered where event_id = $1', [id])).toEqual([]);
  expect(await stage.database.rows('select 1 from outbox.events where id = $1', [id])).toHaveLength(1);
});

test('discard of the only parked event needs no reason, and the audit shows that none was given', async () => {
  const { id, workflowId } = await stage.parkOne();
  await stage.client.workflow.getHandle(workflowId).signal(signals.discard);
  await settled(stage.database, [id]);
  expect(await auditOf(stage.database, workflowId)).toMatchObject([
    { action: 'discard', outcome: 'done', actor: null, reason: null },
  ]);
});
