/** Ways our workflows can go. Each answers the executions whose histories tell of it. */
import { WithStartWorkflowOperation, type Client } from '@temporalio/client';
import { expect } from 'vitest';
import { destinationUpdates, messageSignals, signals, updates } from '../../workflows/contract.ts';
import { prepareMessage, readMessage, rollbackMessage } from '../../src/index.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { eventually, type TestDatabase } from '../support/index.ts';
import { openDeadLetters, pageOf, settled, statusOf } from '../resolve/stage.ts';

export interface Place {
  readonly database: TestDatabase;
  readonly client: Client;
  /** The receiver of `sick` answers 503 until then. */
  readonly heal: () => void;
}

export interface Execution {
  /** Names the recorded file. */
  readonly name: string;
  readonly workflowId: string;
  readonly runId?: string;
}

type Scenario = (place: Place) => Promise<Execution[]>;

/** The receiver answers what a payload says, and 204 to every later attempt. */
async function write(
  { database }: Place,
  count: number,
  payload: object,
  type = 'order.created',
): Promise<string[]> {
  const events = Array.from({ length: count }, () => ({ type, payload }));
  return (await enqueue(database.pool, events, { ownTransaction: true })).map(({ id }) => id);
}

async function parked(place: Place, count = 1): Promise<{ ids: string[]; workflowId: string }> {
  const ids = await write(place, count, { answer: 422 });
  await eventually(async () => expect(await openDeadLetters(place.database, ids)).toHaveLength(count));
  const own = `${place.database.name}/deliver/billing/${ids[0]}`;
  const workflowId = count > 5 ? ((await openDeadLetters(place.database, ids))[0]?.workflow_id ?? '') : own;
  await eventually(async () => expect(await pageOf(place.client, workflowId)).toContain('parked'));
  return { ids, workflowId };
}

async function completed({ client }: Place, workflowId: string): Promise<void> {
  await eventually(async () => expect(await statusOf(client, workflowId)).toBe('COMPLETED'));
}

/** Which workflow a batch that left nothing behind had. */
async function latestBatch({ client, database }: Place, known: ReadonlySet<string>): Promise<string> {
  return eventually(async () => {
    const query = `WorkflowType = "deliver" AND TaskQueue = "${database.taskQueue}" AND ExecutionStatus = "Completed"`;
    const found: string[] = [];
    for await (const { workflowId } of client.workflow.list({ query })) found.push(workflowId);
    const fresh = found.filter((id) => /deliver\/[0-9a-f-]{36}$/.test(id) && !known.has(id));
    expect(fresh).toHaveLength(1);
    return fresh[0] ?? '';
  });
}

async function batchesSoFar({ client, database }: Place): Promise<Set<string>> {
  const ids = new Set<string>();
  const query = `WorkflowType = "deliver" AND TaskQueue = "${database.taskQueue}"`;
  for await (const { workflowId } of client.workflow.list({ query })) ids.add(workflowId);
  return ids;
}

const many: Scenario = async (place) => {
  const known = await batchesSoFar(place);
  await settled(place.database, await write(place, 200, {}));
  return [{ name: 'many', workflowId: await latestBatch(place, known) }];
};

const split: Scenario = async (place) => {
  const known = await batchesSoFar(place);
  const ids = await write(place, 3, { answer: 500 }, 'slow.created');
  await settled(place.database, ids);
  const workflowId = await latestBatch(place, known);
  const child = `${place.database.name}/deliver/slow/${ids[0]}`;
  await completed(place, child);
  return [
    { name: 'split', workflowId },
    { name: 'split-off', workflowId: child },
  ];
};

const again: Scenario = async (place) => {
  const known = await batchesSoFar(place);
  await settled(place.database, await write(place, 3, { answer: 500 }));
  return [{ name: 'again-in-place', workflowId: await latestBatch(place, known) }];
};

const crowd: Scenario = async (place) => {
  const known = await batchesSoFar(place);
  await settled(place.database, await write(place, 12, { answer: 503 }));
  return [{ name: 'crowd-in-rounds', workflowId: await latestBatch(place, known) }];
};

const retry: Scenario = async (place) => {
  const { ids, workflowId } = await parked(place);
  await place.client.workflow.getHandle(workflowId).signal(signals.retry);
  await settled(place.database, ids);
  await completed(place, workflowId);
  return [{ name: 'parked-retry', workflowId }];
};

const edit: Scenario = async (place) => {
  const { ids, workflowId } = await parked(place);
  await place.client.workflow
    .getHandle(workflowId)
    .executeUpdate(updates.edit, { args: [{ payload: { total: 7 }, actor: 'ada' }] });
  await settled(place.database, ids);
  await completed(place, workflowId);
  return [{ name: 'parked-edit-by-update', workflowId }];
};

const redirect: Scenario = async (place) => {
  const { ids, workflowId } = await parked(place);
  await place.client.workflow.getHandle(workflowId).signal(signals.redirect, { to: 'spare' });
  await settled(place.database, ids);
  await completed(place, workflowId);
  return [{ name: 'parked-redirect', workflowId }];
};

const discard: Scenario = async (place) => {
  const { workflowId } = await parked(place);
  await place.client.workflow.getHandle(workflowId).signal(signals.discard, { reason: 'test order' });
  await completed(place, workflowId);
  return [{ name: 'parked-discard', workflowId }];
};

const junk: Scenario = async (place) => {
  const { ids, workflowId } = await parked(place);
  const handle = place.client.workflow.getHandle(workflowId);
  for (const input of [null, [1], 'please', { odd: 1 }]) await handle.signal('discard', input);
  await eventually(async () => expect(await pageOf(place.client, workflowId)).toContain('does not take'));
  await handle.signal('retry');
  await settled(place.database, ids);
  await completed(place, workflowId);
  return [{ name: 'refused-junk', workflowId }];
};

const waiting: Scenario = async (place) => {
  const { workflowId } = await parked(place, 8);
  return [{ name: 'still-waiting', workflowId }];
};

/** The place's server suggests a new run after a hundred events of history. */
const continued: Scenario = async (place) => {
  const { ids, workflowId } = await parked(place, 8);
  const handle = place.client.workflow.getHandle(workflowId);
  const { runId } = await handle.describe();
  for (let batch = 0; batch < 12; batch++) {
    await Promise.all(Array.from({ length: 10 }, () => handle.signal(signals.discard)));
  }
  await eventually(async () => expect((await handle.describe()).runId).not.toBe(runId));
  await handle.signal(signals.retry);
  await settled(place.database, ids);
  await completed(place, workflowId);
  const last = await handle.describe();
  return [
    { name: 'continued-as-new', workflowId, runId },
    { name: 'continued-after', workflowId, runId: last.runId },
  ];
};

/** The place's producer never tells, and parks after its second check-back. */
async function silentMessage(place: Place): Promise<{ id: string; batch: string; own: string }> {
  const { id } = await prepareMessage(place.database.pool, {
    producer: 'shop',
    type: 'order.paid',
    payload: {},
  });
  const batch = await eventually(async () => {
    const { workflowId } = await readMessage(place.database.pool, id);
    expect(workflowId).not.toBeNull();
    return workflowId ?? '';
  });
  const own = `${place.database.name}/preparedMessage/${id}`;
  await eventually(async () => expect(await pageOf(place.client, own)).toContain('parked'));
  return { id, batch, own };
}

const messageCommitted: Scenario = async (place) => {
  const { batch, own } = await silentMessage(place);
  const handle = place.client.workflow.getHandle(own);
  for (const input of [null, 'please']) await handle.signal('rollback', input);
  await handle.signal(messageSignals.check);
  await eventually(async () => expect(await pageOf(place.client, own)).toContain('asked back again'));
  await eventually(async () => expect(await pageOf(place.client, own)).toContain('1 half message parked'));
  await handle.signal(messageSignals.commit, { actor: 'ada' });
  await completed(place, own);
  await completed(place, batch);
  return [
    { name: 'message-asked-back', workflowId: batch },
    { name: 'message-parked-commit', workflowId: own },
  ];
};

const messageSettledOutside: Scenario = async (place) => {
  const { id, own } = await silentMessage(place);
  await rollbackMessage(place.database.pool, id);
  await completed(place, own);
  return [{ name: 'message-parked-settled-outside', workflowId: own }];
};

const messageWaiting: Scenario = async (place) => {
  const { own } = await silentMessage(place);
  return [{ name: 'message-still-waiting', workflowId: own }];
};

/** The circuit of `sick`: opened, paused, junk, probed in vain, resumed, closed by the probe's success. */
const outage: Scenario = async (place) => {
  const workflowId = `${place.database.name}/destination/sick`;
  const events = Array.from({ length: 30 }, () => ({ type: 'sick.created', payload: {} }));
  const ids = (await enqueue(place.database.pool, events, { ownTransaction: true })).map(({ id }) => id);
  const handle = place.client.workflow.getHandle(workflowId);
  await eventually(async () => expect(await pageOf(place.client, workflowId)).toContain('in vain'));
  for (const input of [null, [1], 'please', { odd: 1 }]) await handle.signal('pause', input);
  await handle.executeUpdate(destinationUpdates.pause, { args: [{ reason: 'to look' }] });
  await handle.executeUpdate(destinationUpdates.probe, { args: [{}] });
  await handle.executeUpdate(destinationUpdates.park, { args: [{ olderThan: '1h' }] });
  await place.database.pool.query(`update outbox.destinations set paused_at = null where name = 'sick'`);
  await handle.signal('recheck');
  place.heal();
  await settled(place.database, ids);
  await completed(place, workflowId);
  return [{ name: 'destination-outage', workflowId }];
};

const parkedInBulk: Scenario = async (place) => {
  const workflowId = `${place.database.name}/destination/idle`;
  await place.client.workflow.executeUpdateWithStart(destinationUpdates.pause, {
    args: [{}],
    startWorkflowOperation: new WithStartWorkflowOperation('destination', {
      workflowId,
      taskQueue: place.database.taskQueue,
      args: [{ name: 'idle', timeoutMs: 15_000, searchAttributes: true }],
      workflowIdConflictPolicy: 'USE_EXISTING',
    }),
  });
  const events = Array.from({ length: 3 }, () => ({ type: 'idle.created', payload: {} }));
  await enqueue(place.database.pool, events, { ownTransaction: true });
  const handle = place.client.workflow.getHandle(workflowId);
  await handle.executeUpdate(destinationUpdates.park, { args: [{ olderThan: '1ms' }] });
  await handle.signal('resume');
  await completed(place, workflowId);
  return [{ name: 'destination-parked', workflowId }];
};

const housekeepingPass: Scenario = async ({ client, database }) => {
  // A fresh process makes the schedule a moment after it says that it runs.
  await eventually(() => client.schedule.getHandle(`${database.name}/housekeeping-schedule`).trigger());
  return eventually(async () => {
    const query = `WorkflowId STARTS_WITH "${database.name}/housekeeping/pass" AND ExecutionStatus = "Completed"`;
    const found: Execution[] = [];
    for await (const { workflowId } of client.workflow.list({ query }))
      found.push({ name: 'housekeeping-pass', workflowId });
    // On the hour the schedule itself makes another one.
    expect(found.length).toBeGreaterThan(0);
    return found.slice(0, 1);
  });
};

export const scenarios: Readonly<Record<string, Scenario>> = {
  many,
  split,
  again,
  crowd,
  retry,
  edit,
  redirect,
  discard,
  junk,
  waiting,
  continued,
  messageCommitted,
  messageSettledOutside,
  messageWaiting,
  outage,
  parkedInBulk,
  housekeepingPass,
};
