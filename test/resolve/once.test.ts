import { beforeAll, expect, test } from 'vitest';
import { signals, updates } from '../../workflows/contract.ts';
import { eventually } from '../support/index.ts';
import { auditOf, episodes, openStage, pageOf, settled, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});

test('one command id acts once, however often and however it is sent', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  const commandId = `command of ${id}`;
  await handle.signal(signals.retry, { commandId });
  await eventually(async () => expect(await episodes(stage.database, id)).toHaveLength(2));
  await handle.signal(signals.retry, { commandId });
  const answer = await handle.executeUpdate(updates.discard, { args: [{ commandId }] });
  expect(answer).toMatchObject({
    outcome: 'done',
    message: expect.stringContaining('carried out before') as string,
  });
  expect(await episodes(stage.database, id)).toMatchObject([{ resolution: 'retry' }, { resolution: null }]);
  expect(await auditOf(stage.database, workflowId)).toHaveLength(1);
  expect(stage.billing.of(id)).toHaveLength(2);
});

test('of two commands for one park episode the first acts and the second is refused', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  stage.heal(id);
  await Promise.all([handle.signal(signals.discard), handle.signal(signals.retry)]);
  await settled(stage.database, [id]);
  const lines = await eventually(async () => {
    const found = await auditOf(stage.database, workflowId);
    expect(found).toHaveLength(2);
    return found;
  });
  expect(lines.map(({ outcome }) => outcome)).toEqual(['done', 'refused']);
  expect(lines[1]?.message).toContain('nothing is parked here');
  expect(await episodes(stage.database, id)).toMatchObject([{ resolution: lines[0]?.action }]);
});

test('a second retry while the first is under way is refused, not kept for the next time the event is parked', async () => {
  const { id, workflowId } = await stage.parkOne();
  const handle = stage.client.workflow.getHandle(workflowId);
  stage.delay(id, 2_000);
  await handle.signal(signals.retry);
  await eventually(() => expect(stage.billing.of(id)).toHaveLength(2));
  const answer = await handle.executeUpdate(updates.retry, { args: [{}] });
  expect(answer).toMatchObject({ outcome: 'refused', message: 'nothing is parked here: 1 retrying' });
  await eventually(async () => expect(await episodes(stage.database, id)).toHaveLength(2));
  await eventually(async () => expect(await pageOf(stage.client, workflowId)).toContain('1 delivery parked'));
  expect(await pageOf(stage.client, workflowId)).toContain('nothing is parked here: 1 retrying');
  expect(stage.billing.of(id)).toHaveLength(2);
});
