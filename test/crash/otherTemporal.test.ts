/** Temporal's whole store is gone, or another server answers at its address. */
import { expect, test } from 'vitest';
import { startTemporal } from '../../src/embedded/index.ts';
import { Client, Connection } from '@temporalio/client';
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

const parked = 120;
/** As the reconciler looks: so many workflows in a pass, a pass every five seconds. */
const perPass = 50;

test('wiped while `run` runs: nothing is claimed until it is adopted; then all is delivered, parked workflows are made again, not all at once', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 422 });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', batch: { maximum: 1, inFlight: 16, splitUpTo: 0 } } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const old = await startTemporal({ headless: true });
  atEnd(() => old.stop());
  const temporal = { address: old.address, namespace: 'default' };
  const running = await startRun({ databaseUrl: database.url, temporal });
  const ids = await writeEvents(database.pool, parked);
  const count = async (state: string): Promise<number> =>
    (await database.rows('select 1 from outbox.deliveries where state = $1', [state])).length;
  await eventually(async () => expect(await count('parked')).toBe(parked), { timeout: 60_000 });

  await old.stop();
  const port = Number(old.address.split(':')[1]);
  const wiped = await startTemporal({ headless: true, port });
  atEnd(() => wiped.stop());
  expect(wiped.address).toBe(old.address);
  const said = (): string[] => running.logged.map(({ message }) => message);
  await eventually(() => expect(said()).toContain('claiming nothing more'), { timeout: 40_000 });
  receiver.answer(204);
  const [later = ''] = await writeEvents(database.pool, 1);
  const env = { TEMPORAL_ADDRESS: wiped.address, TEMPORAL_NAMESPACE: 'default' };
  await expect(startRun({ databaseUrl: database.url, temporal })).rejects.toMatchObject({
    code: 'OUTBOX_TEMPORAL_MISMATCH',
  });
  expect((await runCli(['doctor'], { databaseUrl: database.url, env })).code).toBe(1);
  expect(await count('pending')).toBe(1);
  expect(receiver.of(later)).toEqual([]);

  const adopted = await runCli(['doctor', '--adopt'], { databaseUrl: database.url, env });
  expect(adopted.stdout).toContain('adopted by this namespace');
  await eventually(() => expect(receiver.of(later)).toHaveLength(1), { timeout: 40_000 });
  expect(said()).toContain('the database and Temporal belong together again: claiming goes on');

  const connection = await Connection.connect({ address: wiped.address });
  atEnd(() => connection.close());
  const client = new Client({ connection });
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
  const other = await startTemporal({ headless: true });
  atEnd(() => other.stop());
  const [id = ''] = await writeEvents(database.pool, 1);
  const env = { TEMPORAL_ADDRESS: other.address, TEMPORAL_NAMESPACE: 'default' };
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
