/** A batch's workflow goes on for a moment after what it parked left it: whoever sends it a command then is not told that all is settled. */
import { expect, test } from 'vitest';
import { signals } from '../../workflows/contract.ts';
import { auditOf, openStage, settled } from './stage.ts';

test('a signal to the workflow that an event came from acts in the one that has it, and wakes it', async () => {
  const stage = await openStage();
  const { id, workflowId } = await stage.parkOne();
  const [batch] = await stage.database.rows<{ parent: string }>(
    'select parent from outbox.batches where workflow_id = $1',
    [workflowId],
  );
  const from = `${stage.database.name}/deliver/${batch?.parent}`;
  expect(from).not.toBe(workflowId);
  stage.heal(id);
  await stage.client.workflow.signalWithStart('deliver', {
    workflowId: from,
    taskQueue: stage.database.taskQueue,
    args: [{ lane: 'billing', firstAttempt: 'activity', timeoutMs: 10_000, searchAttributes: false }],
    signal: signals.retry,
    signalArgs: [{ actor: 'ada' }],
  });
  await settled(stage.database, [id]);
  expect(stage.billing.of(id)).toHaveLength(2);
  expect(await auditOf(stage.database, from)).toMatchObject([
    {
      actor: 'ada',
      outcome: 'done',
      message: expect.stringContaining(`sent on to ${workflowId}: `) as string,
    },
  ]);
  expect(await auditOf(stage.database, workflowId)).toMatchObject([
    { actor: 'ada', outcome: 'done', events: 1 },
  ]);
});
