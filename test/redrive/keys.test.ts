/** Of a key of which several deliveries are parked, the first ones go first, and are not held up by those behind. */
import { expect, test } from 'vitest';
import { destinationUpdates } from '../../workflows/contract.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { eventually } from '../support/index.ts';
import { openDeadLetters, settled } from '../resolve/stage.ts';
import { openPlace } from './place.ts';

test('a key of which all are parked goes in its order, step by step', async () => {
  const place = await openPlace({ billing: 'ordering: key' });
  const { pool } = place.database;
  await pool.query(
    `update outbox.destinations set paused_at = now(), paused_reason = 'test' where name = 'billing'`,
  );
  const events = Array.from({ length: 7 }, (_, number) => ({
    type: 'order.created',
    key: 'one',
    payload: { number },
  }));
  const ids = (await enqueue(pool, events, { ownTransaction: true })).map(({ id }) => id);
  await place.client.workflow.executeUpdateWithStart(destinationUpdates.park, {
    args: [{ olderThan: '1ms' }],
    startWorkflowOperation: await parkOperation(place.database),
  });
  await eventually(async () => expect(await openDeadLetters(place.database, ids)).toHaveLength(7));
  await pool.query(
    `update outbox.destinations set paused_at = null, paused_reason = null where name = 'billing'`,
  );
  const { id } = await place.go({ destination: 'billing', steps: [2, 3] });
  await settled(place.database, ids);
  expect(await place.over(id)).toMatchObject({ state: 'done', done: 7 });
  expect(place.billing.requests.map((request) => request.id)).toEqual(ids);
});

async function parkOperation({ name, taskQueue }: { name: string; taskQueue: string }) {
  const { WithStartWorkflowOperation } = await import('@temporalio/client');
  return new WithStartWorkflowOperation('destination', {
    workflowId: `${name}/destination/billing`,
    taskQueue,
    args: [{ name: 'billing', timeoutMs: 15_000, searchAttributes: false }],
    workflowIdConflictPolicy: 'USE_EXISTING',
  });
}
