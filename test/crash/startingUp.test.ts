/** PostgreSQL or Temporal goes away in the middle of a start: it is waited for, as when it was away from the beginning. */
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  servers,
  spawnRun,
  startReceiver,
  startRun,
  startTcpProxy,
} from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { startTemporalGate } from '../field/temporalGate.ts';
import { drained, writeEvents } from './drain.ts';

test('a start whose connections break wherever it may be is tried again, and ends no process', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  // Bytes after which each connection breaks: in the login, in the look at the schema, later and later after it.
  const starts = await Promise.all(
    [500, 1_500, 1_900, 2_300, 2_700].map(async (cutAfter) => {
      const direct = new URL(database.url);
      const wire = await startTcpProxy(direct.host);
      await wire.become({ cutAfter });
      direct.host = wire.address;
      return { cutAfter, wire, process: spawnRun({ databaseUrl: direct.href }) };
    }),
  );
  for (const { process } of starts) {
    await eventually(
      () => {
        const tried = /not reachable yet|"ready"/.test(process.stdout()) || process.child.exitCode !== null;
        expect(tried).toBe(true);
      },
      { timeout: 30_000 },
    );
  }
  for (const { wire } of starts) await wire.become('pass');
  for (const { cutAfter, process } of starts) {
    await eventually(
      () => {
        expect(process.child.exitCode, `cut after ${cutAfter} bytes: ${process.stderr()}`).toBeNull();
        expect(process.stdout()).toContain('"ready"');
      },
      { timeout: 60_000, interval: 100 },
    );
  }
  const broken = starts.filter(({ process }) => process.stdout().includes('not reachable yet'));
  console.log(`broken in the middle: cut after ${broken.map(({ cutAfter }) => cutAfter).join(', ')} bytes`);
  expect(broken.length).toBeGreaterThanOrEqual(2);
  const ids = await writeEvents(database.pool, 10);
  await drained(database.pool, receiver, ids);
}, 120_000);

test.for([
  'DescribeNamespace',
  'StartWorkflowExecution',
  'DescribeWorkflowExecution',
  'SignalWorkflowExecution',
])(
  'Temporal that goes away before %s of a start is waited for, and ends no process',
  { timeout: 120_000 },
  async (call, context) => {
    if (call !== 'SignalWorkflowExecution') onlyWithEverything(context, 'a sibling is shown');
    const database = await createTestDatabase();
    const { temporalAddress } = servers();
    // The namespace is claimed: the next start describes and signals what the first one began.
    await (await startRun({ databaseUrl: database.url })).stop();
    const gate = await startTemporalGate(temporalAddress);
    gate.refuse([call], { status: 14, message: 'the server is stopping' });
    const spawned = spawnRun({ databaseUrl: database.url, env: { TEMPORAL_ADDRESS: gate.address } });
    await eventually(
      () => {
        expect(spawned.child.exitCode, spawned.stderr()).toBeNull();
        expect(spawned.stdout()).toMatch(
          /cannot use Temporal at .*the server is stopping.*not reachable yet/,
        );
      },
      { timeout: 60_000, interval: 100 },
    );
    gate.refuse([]);
    await eventually(
      () => {
        expect(spawned.child.exitCode, spawned.stderr()).toBeNull();
        expect(spawned.stdout()).toContain('"ready"');
      },
      { timeout: 60_000, interval: 100 },
    );
  },
);

test('Temporal that goes away in the middle of a command is exit code 3, in its words', async () => {
  const database = await createTestDatabase();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: 'http://127.0.0.1:9/' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const gate = await startTemporalGate(servers().temporalAddress);
  const calls = ['ExecuteMultiOperation', 'StartWorkflowExecution', 'SignalWithStartWorkflowExecution'];
  gate.refuse(calls, { status: 14, message: 'the server is stopping' });
  const ended = await runCli(['destinations', 'pause', 'billing'], {
    databaseUrl: database.url,
    env: { TEMPORAL_ADDRESS: gate.address },
  });
  expect(ended.stderr).toMatch(/OUTBOX_TEMPORAL_UNREACHABLE .*the server is stopping/);
  expect(ended.code).toBe(3);
});
