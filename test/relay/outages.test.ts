import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  eventually,
  servers,
  startReceiver,
  startRun,
  startTcpProxy,
  temporalClient,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';
import { databaseFor, startRelay, write } from './stage.ts';

/** A relay whose wire to Temporal can be cut, and a worker whose wire cannot. */
async function stage() {
  const receiver = await startReceiver();
  const database = await databaseFor({ a: receiver });
  await startRun({ databaseUrl: database.url, roles: { relay: false, worker: true } });
  const wire = await startTcpProxy(servers().temporalAddress);
  const relay = await startRelay(database, { temporalAddress: wire.address });
  await write(database, 'a.before');
  await eventually(async () => expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(1));
  await eventually(async () => expect(await batches(database)).toEqual([]));
  return { receiver, database, wire, relay };
}

async function batches(database: TestDatabase): Promise<string[]> {
  const rows = await database.rows<{ id: string }>('select workflow_id as id from outbox.batches');
  return rows.map(({ id }) => id);
}

function arrivedOnce(receiver: Receiver, ids: readonly string[]): void {
  expect(ids.map((id) => receiver.of(id).length)).toEqual(ids.map(() => 1));
}

test.each(['refuse', 'reset', 'blackhole'] as const)(
  'while Temporal cannot be reached (%s) the lane soon claims no more; then everything arrives once',
  async (mode) => {
    const { receiver, database, wire } = await stage();
    await wire.become(mode);
    const ids = await write(database, 'a.during');
    await eventually(async () => expect(await batches(database)).toHaveLength(1));
    // A start that takes longer than this holds its lane up.
    await sleep(500);
    for (let n = 0; n < 5; n += 1) ids.push(...(await write(database, 'a.during', 10)));
    await sleep(300);
    expect(await batches(database)).toHaveLength(1);
    expect(await database.rows(`select 1 from outbox.deliveries where state = 'pending'`)).toHaveLength(50);
    expect(receiver.requests).toHaveLength(1);
    await wire.become('pass');
    await eventually(() => arrivedOnce(receiver, ids), { timeout: 40_000 });
    await eventually(async () => expect(await batches(database)).toEqual([]));
  },
);

test('a start whose reply was lost is not doubled', async () => {
  const { receiver, database, wire } = await stage();
  await wire.become('drop-reply');
  const [id = ''] = await write(database, 'a.during');
  // The start has arrived: the worker, on a wire of its own, gets the workflow and delivers.
  await eventually(() => arrivedOnce(receiver, [id]), { timeout: 40_000 });
  const later = await write(database, 'a.later', 5);
  await wire.become('pass');
  await eventually(() => arrivedOnce(receiver, [id, ...later]), { timeout: 40_000 });
  await eventually(async () => expect(await batches(database)).toEqual([]));
  expect(receiver.requests).toHaveLength(7);
});

test.each(['refuse', 'blackhole'] as const)(
  'a relay that stops while Temporal cannot be reached (%s) gives its claim back within seconds',
  async (mode) => {
    const { receiver, database, wire, relay } = await stage();
    await wire.become(mode);
    const ids = await write(database, 'a.during', 3);
    await eventually(async () => expect(await batches(database)).toHaveLength(1));
    const startedAt = performance.now();
    await relay.stop();
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(await database.rows('select state from outbox.deliveries')).toEqual(
      Array(3).fill({ state: 'pending' }),
    );
    expect(await batches(database)).toEqual([]);
    await startRelay(database);
    await eventually(() => arrivedOnce(receiver, ids));
  },
);

test('a start that arrives after its claim was given back finds nothing to do', async () => {
  const { receiver, database, wire, relay } = await stage();
  await wire.become('blackhole');
  const [id = ''] = await write(database, 'a.during');
  const [workflowId = ''] = await eventually(async () => {
    const claimed = await batches(database);
    expect(claimed).toHaveLength(1);
    return claimed;
  });
  await relay.stop();
  const client = await temporalClient();
  const late = await client.workflow.start('deliver', {
    workflowId,
    taskQueue: database.taskQueue,
    args: [{ lane: 'a', firstAttempt: 'local', timeoutMs: 15_000, searchAttributes: false }],
  });
  expect(await late.result()).toEqual({ settled: true });
  expect(receiver.of(id)).toEqual([]);
  await startRelay(database);
  await eventually(() => arrivedOnce(receiver, [id]));
});

test('of a process that stops, relay and worker in one, no event is lost or sent twice', async () => {
  const receiver = await startReceiver();
  const database = await databaseFor({ a: receiver });
  const wire = await startTcpProxy(servers().temporalAddress);
  const temporal = { address: wire.address, namespace: servers().temporalNamespace };
  const first = await startRun({ databaseUrl: database.url, temporal });
  await wire.become('refuse');
  const ids = await write(database, 'a.during', 3);
  await eventually(async () => expect(await batches(database)).toHaveLength(1));
  await first.stop();
  await startRun({ databaseUrl: database.url });
  await eventually(() => arrivedOnce(receiver, ids));
});

test('a claim whose workflow was never started is found and delivered', async () => {
  const receiver = await startReceiver();
  const database = await databaseFor({ a: receiver });
  const ids = await write(database, 'a.x', 3);
  // A relay that died between its claim and the start.
  const dead = '00000000-0000-4000-8000-000000000001';
  await database.pool.query(`select outbox.hold_lanes($1, 'dead', '1 s')`, [dead]);
  const [batch] = await database.rows<{ workflow_id: string }>(
    `select workflow_id from outbox.claim($1, '{a}', '{0}', '1 s')`,
    [dead],
  );
  const workflowId = batch?.workflow_id ?? '';
  const client = await temporalClient();
  await expect(client.workflow.getHandle(workflowId).describe()).rejects.toThrow(/not found/i);
  await startRun({ databaseUrl: database.url, roles: { relay: false, worker: true } });
  await startRelay(database, { claimAgeMs: 200 });
  await eventually(() => arrivedOnce(receiver, ids));
  const { status } = await client.workflow.getHandle(workflowId).describe();
  expect(['RUNNING', 'COMPLETED']).toContain(status.name);
});

test('PostgreSQL’s connections cut in the middle of the work: the relay goes on', async () => {
  const receiver = await startReceiver();
  const database = await databaseFor({ a: receiver });
  const running = await startRun({ databaseUrl: database.url });
  const ids: string[] = [];
  for (let n = 0; n < 10; n += 1) {
    ids.push(...(await write(database, 'a.x', 5)));
    await database.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'temporal-outbox'`,
    );
    await sleep(50);
  }
  await eventually(() => {
    for (const id of ids) expect(receiver.of(id).length).toBeGreaterThan(0);
  });
  await eventually(async () => expect(await database.rows('select 1 from outbox.deliveries')).toEqual([]));
  expect(running.logged.filter(({ level }) => level === 'error')).toEqual([]);
});
