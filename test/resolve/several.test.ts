/** More deliveries than are split off (5) stay together, parked in one workflow. */
import { beforeEach, expect, test } from 'vitest';
import { signals, updates } from '../../workflows/contract.ts';
import { eventually } from '../support/index.ts';
import { auditOf, openDeadLetters, openStage, pageOf, settled, statusOf, type Stage } from './stage.ts';

let stage: Stage;
let ids: string[];
let workflowId: string;
beforeEach(async () => {
  stage = await openStage();
  ids = await stage.park(8);
  const workflows = new Set((await openDeadLetters(stage.database, ids)).map((row) => row.workflow_id));
  expect(workflows.size).toBe(1);
  workflowId = [...workflows][0] ?? '';
});

test('retry without ids takes all of them, and each arrives under its own key', async () => {
  stage.heal(...ids);
  await stage.client.workflow.getHandle(workflowId).signal(signals.retry);
  await settled(stage.database, ids);
  for (const id of ids) {
    expect(stage.billing.of(id).map(({ key }) => key)).toEqual([`billing/${id}`, `billing/${id}`]);
  }
  expect(await auditOf(stage.database, workflowId)).toMatchObject([{ outcome: 'done', events: 8 }]);
  await eventually(async () => expect(await statusOf(stage.client, workflowId)).toBe('COMPLETED'));
});

test('discard, edit and redirect without ids or {"all": true} are refused, and say what to send', async () => {
  const handle = stage.client.workflow.getHandle(workflowId);
  await handle.signal(signals.discard, { reason: 'all of it' });
  await handle.signal(signals.edit, { payload: {} });
  await handle.signal(signals.redirect, { to: 'spare' });
  const lines = await eventually(async () => {
    const found = await auditOf(stage.database, workflowId);
    expect(found).toHaveLength(3);
    return found;
  });
  for (const { outcome, message } of lines) {
    expect(outcome).toBe('refused');
    expect(message).toBe(
      '8 deliveries are parked here; send {"event": "<id>"} or {"event": [ids]}, or {"all": true}',
    );
  }
  expect(await openDeadLetters(stage.database, ids)).toHaveLength(8);
});

test('named ids are acted on and the others go on waiting; the page counts what is left', async () => {
  const handle = stage.client.workflow.getHandle(workflowId);
  const [first = '', second = '', third = '', fourth = ''] = ids;
  stage.heal(fourth);
  await handle.executeUpdate(updates.discard, { args: [{ event: first }] });
  await handle.executeUpdate(updates.redirect, { args: [{ event: [second], to: 'spare' }] });
  await handle.executeUpdate(updates.edit, { args: [{ event: third, payload: { answer: 204 } }] });
  await handle.executeUpdate(updates.retry, { args: [{ event: fourth.toUpperCase() }] });
  await settled(stage.database, [first, second, third, fourth]);
  expect(stage.spare.of(second)).toHaveLength(1);
  expect(stage.billing.of(third).at(-1)?.id).toBe(`${third}:r2`);
  const left = ids.slice(4);
  expect((await openDeadLetters(stage.database, ids)).map((row) => row.event_id).sort()).toEqual(
    [...left].sort(),
  );
  await eventually(async () =>
    expect(await pageOf(stage.client, workflowId)).toContain('4 deliveries parked'),
  );
});

test('one id that is not parked here refuses the whole command, and names it', async () => {
  const handle = stage.client.workflow.getHandle(workflowId);
  const { id: elsewhere } = await stage.parkOne();
  const answer = await handle.executeUpdate(updates.discard, {
    args: [{ event: [ids[0] ?? '', elsewhere], reason: 'wrong' }],
  });
  expect(answer).toEqual({
    outcome: 'refused',
    message: `not parked in this workflow: ${elsewhere}; nothing was changed`,
    events: 0,
  });
  expect(await openDeadLetters(stage.database, [...ids, elsewhere])).toHaveLength(9);
});

test('{"all": true} discards all of them, with a reason only', async () => {
  const handle = stage.client.workflow.getHandle(workflowId);
  const without = await handle.executeUpdate(updates.discard, { args: [{ all: true }] });
  expect(without).toMatchObject({
    outcome: 'refused',
    message: expect.stringContaining('say why') as string,
  });
  const done = await handle.executeUpdate(updates.discard, { args: [{ all: true, reason: 'load test' }] });
  expect(done).toEqual({ outcome: 'done', message: '8 events discarded', events: 8 });
  await settled(stage.database, ids);
  await eventually(async () => expect(await statusOf(stage.client, workflowId)).toBe('COMPLETED'));
});
