/** Temporal's whole store is gone, or another server answers at its address. */
import { expect, test } from 'vitest';
import { startTemporal } from '../../src/embedded/index.ts';
import { Client, Connection } from '@temporalio/client';
import { allDelivered, openStage, stands } from '../circuit/stage.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { writeEvents } from './drain.ts';
import { onlyWithEverything } from '../support/everything.ts';

/** A Temporal of the test's own, whose store is lost when it is wiped; its address stays. */
async function startOwnTemporal() {
  const first = await startTemporal({ headless: true });
  atEnd(() => first.stop());
  const { address } = first;
  return {
    address,
    settings: { address, namespace: 'default' },
    env: { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: 'default' },
    wipe: async () => {
      await first.stop();
      const wiped = await startTemporal({ headless: true, port: Number(address.split(':')[1]) });
      atEnd(() => wiped.stop());
      expect(wiped.address).toBe(address);
    },
    client: async () => {
      const connection = await Connection.connect({ address });
      atEnd(() => connection.close());
      return new Client({ connection });
    },
  };
}

const parked = 120;
/** As the reconciler looks: so many workflows in a pass, a pass every five seconds. */
const perPass = 50;

test('wiped while `run` runs: nothing is claimed until it is adopted; then all is delivered, parked workflows are made again, not all at once', async (context) => {
  onlyWithEverything(context, 'a fresh Temporal');
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 422 });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', batch: { maximum: 1, inFlight: 16, splitUpTo: 0 } } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const temporal = await startOwnTemporal();
  const running = await startRun({ databaseUrl: database.url, temporal: temporal.settings });
  const ids = await writeEvents(database.pool, parked);
  const count = async (state: string): Promise<number> =>
    (await database.rows('select 1 from outbox.deliveries where state = $1', [state])).length;
  await eventually(async () => expect(await count('parked')).toBe(parked), { timeout: 60_000 });

  await temporal.wipe();
  const said = (): string[] => running.logged.map(({ message }) => message);
  await eventually(() => expect(said()).toContain('claiming nothing more'), { timeout: 40_000 });
  receiver.answer(204);
  const [later = ''] = await writeEvents(database.pool, 1);
  const { env } = temporal;
  await expect(startRun({ databaseUrl: database.url, temporal: temporal.settings })).rejects.toMatchObject({
    code: 'OUTBOX_TEMPORAL_MISMATCH',
  });
  expect((await runCli(['doctor'], { databaseUrl: database.url, env })).code).toBe(1);
  expect(await count('pending')).toBe(1);
  expect(receiver.of(later)).toEqual([]);

  const adopted = await runCli(['doctor', '--adopt'], { databaseUrl: database.url, env });
  expect(adopted.stdout).toContain('adopted by this namespace');
  await eventually(() => expect(receiver.of(later)).toHaveLength(1), { timeout: 40_000 });
  expect(said()).toContain('the database and Temporal belong together again: claiming goes on');

  const client = await temporal.client();
  const starts: number[] = [];
  await eventually(
    async () => {
      starts.length = 0;
      const query = 'WorkflowType = "deliver" AND ExecutionStatus = "Running"';
      for await (const { startTime } of client.workflow.list({ query })) starts.push(startTime.getTime());
      expect(starts).toHaveLength(parked);
    },
    { timeout: 90_000, interval: 500 },
  );
  starts.sort((a, b) => a - b);
  // Passes are five seconds apart: whatever window of four seconds one takes, it holds no more than one pass.
  const most = Math.max(
    ...starts.map((from) => starts.filter((at) => at >= from && at < from + 4_000).length),
  );
  expect(most).toBeLessThanOrEqual(perPass);
  const [{ workflow_id: workflowId } = { workflow_id: '' }] = await database.rows<{ workflow_id: string }>(
    'select workflow_id from outbox.dead_letters where event_id = $1',
    [ids[0]],
  );
  await client.workflow.getHandle(workflowId).signal('retry');
  await eventually(() =>
    expect(receiver.of(ids[0] ?? '').map(({ key }) => key)).toEqual(Array(2).fill(`billing/${ids[0]}`)),
  );
}, 240_000);

test('wiped while a circuit is open and a destination paused: once adopted, both are watched again, probes and commands go on', async (context) => {
  onlyWithEverything(context, 'a second fresh Temporal');
  const stage = await openStage({ answer: 503, run: false });
  const { database, billing } = stage;
  const temporal = await startOwnTemporal();
  const cli = (...line: string[]) => runCli(line, { databaseUrl: database.url, env: temporal.env });
  const running = await startRun({ databaseUrl: database.url, temporal: temporal.settings });
  const ids = await stage.send(20);
  await eventually(async () => expect((await stands(stage, 'open')).failedProbes).toBeGreaterThan(0));
  expect((await cli('destinations', 'pause', 'healthy', '--reason', 'maintenance')).code).toBe(0);
  const others = await stage.sendHealthy(5);

  await temporal.wipe();
  const said = (): string[] => running.logged.map(({ message }) => message);
  await eventually(() => expect(said()).toContain('claiming nothing more'), { timeout: 40_000 });
  const { failedProbes } = await stands(stage, 'open');
  const requests = billing.requests.length;
  expect((await cli('doctor', '--adopt')).stdout).toContain('adopted by this namespace');
  // What was so is in the rows: the probes go on where they were.
  await eventually(
    async () => expect((await stands(stage, 'open')).failedProbes).toBeGreaterThan(failedProbes),
    {
      timeout: 60_000,
    },
  );
  expect(billing.requests.length).toBeGreaterThan(requests);
  const client = await temporal.client();
  for (const name of ['billing', 'healthy'])
    await eventually(
      async () => {
        const { status } = await client.workflow.getHandle(`${database.name}/destination/${name}`).describe();
        expect(status.name).toBe('RUNNING');
      },
      { timeout: 40_000 },
    );
  billing.answer(204);
  await allDelivered(database, ids, { timeout: 40_000 });
  expect(stage.healthy.requests).toEqual([]);
  expect((await cli('destinations', 'resume', 'healthy')).code).toBe(0);
  await allDelivered(database, others);
  await eventually(async () => {
    const open = client.workflow.getHandle(`${database.name}/destination/healthy`).describe();
    expect((await open).status.name).toBe('COMPLETED');
  });
}, 240_000);

test('another server at the address of the first: its namespace is not taken over, and rows wait', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const first = await startRun({ databaseUrl: database.url });
  await first.stop();
  const { env } = await startOwnTemporal();
  const [id = ''] = await writeEvents(database.pool, 1);
  const refused = await runCli(['run'], { databaseUrl: database.url, env });
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('OUTBOX_TEMPORAL_MISMATCH');
  expect(refused.stderr).toContain('doctor --adopt');
  const restored = await runCli(['doctor', '--restored'], { databaseUrl: database.url, env });
  expect(restored.code).toBe(1);
  expect(await database.rows('select state from outbox.deliveries')).toEqual([{ state: 'pending' }]);
  // At the right address all is as before.
  await startRun({ databaseUrl: database.url });
  await eventually(() => expect(receiver.of(id)).toHaveLength(1));
}, 120_000);
