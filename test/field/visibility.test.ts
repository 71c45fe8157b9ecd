/** Temporal lists no workflows: its visibility refuses every request. What must work does not ask it. */
import { beforeAll, expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import { openDeadLetters, settled } from '../resolve/stage.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  spawnRun,
  startReceiver,
  startRun,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';
import { writeEvents } from '../crash/drain.ts';
import { ownTemporal, type OwnTemporal } from './ownTemporal.ts';
import { onlyWithEverything } from '../support/everything.ts';

let temporal: OwnTemporal;
beforeAll(async () => {
  temporal = await ownTemporal({
    'frontend.namespaceRPS.visibility': 0,
    'frontend.globalNamespaceRPS.visibility': 0,
  });
});

const patient = { timeout: 60_000, interval: 250 };
const metricsListen = parseListen('127.0.0.1:0');

async function stage(answer: number): Promise<{ database: TestDatabase; receiver: Receiver }> {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', circuit: { enabled: false } } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  return { database, receiver };
}

test('the lists are refused here', async () => {
  const listed = async (): Promise<void> => {
    for await (const _ of temporal.client.workflow.list({ query: 'WorkflowType = "deliver"' })) break;
  };
  await expect(temporal.client.withDeadline(Date.now() + 3_000, listed)).rejects.toThrow();
});

test('claims of a relay that died before its start are delivered all the same; the process says what is missing, and is ready', async () => {
  const { database, receiver } = await stage(204);
  const victim = spawnRun({
    databaseUrl: database.url,
    env: { ...temporal.env, OUTBOX_FAILPOINTS: 'before-start=exit', OUTBOX_FAILPOINTS_ALLOWED: 'crash-test' },
  });
  await eventually(() => expect(victim.stdout()).toContain('relay started'), patient);
  const ids = await writeEvents(database.pool, 20);
  await victim.ended;
  const claimed = await database.rows(`select 1 from outbox.deliveries where state = 'claimed'`);
  expect(claimed.length).toBeGreaterThan(0);
  const { endpoints, logged } = await startRun({
    databaseUrl: database.url,
    temporal: temporal.settings,
    metricsListen,
  });
  await settled(database, ids, patient);
  expect(receiver.requests.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  await eventually(async () => {
    const response = await fetch(`${endpoints['metrics']}/readyz`);
    const { checks } = (await response.json()) as { checks: Record<string, { ok: boolean; says?: string }> };
    expect([response.status, checks['temporal']]).toEqual([
      200,
      {
        ok: true,
        says: expect.stringMatching(/^Temporal lists no workflows \(.+\); rows serve instead$/) as string,
      },
    ]);
    const metrics = await (await fetch(`${endpoints['metrics']}/metrics`)).text();
    expect(metrics).toContain('\noutbox_temporal_visibility_up 0\n');
  }, patient);
  expect(logged.filter(({ message }) => message.startsWith('Temporal lists no workflows'))).toHaveLength(1);
});

test('a terminated workflow is found by its rows: what it held is parked with that reason', async (context) => {
  onlyWithEverything(context, 'it takes half a minute');
  const { database } = await stage(500);
  await startRun({ databaseUrl: database.url, temporal: temporal.settings });
  const [id = ''] = await writeEvents(database.pool, 1);
  const workflowId = `${database.name}/deliver/billing/${id}`;
  await eventually(() => temporal.client.workflow.getHandle(workflowId).describe(), patient);
  await temporal.client.workflow.getHandle(workflowId).terminate('enough');
  await eventually(async () => {
    expect(await openDeadLetters(database, [id])).toMatchObject([{ reason: 'terminated' }]);
  }, patient);
});

test('doctor names it, and --restored works on without it', async (context) => {
  onlyWithEverything(context, 'it takes half a minute');
  const { database, receiver } = await stage(422);
  const running = await startRun({ databaseUrl: database.url, temporal: temporal.settings });
  const [id = ''] = await writeEvents(database.pool, 1);
  await eventually(async () => expect(await openDeadLetters(database, [id])).toHaveLength(1), patient);
  await running.stop();
  const ended = await runCli(['doctor', '--restored', '--json'], {
    databaseUrl: database.url,
    env: temporal.env,
  });
  const { checks } = JSON.parse(ended.stdout) as {
    checks: { check: string; level: string; found: string }[];
  };
  expect(ended.code, ended.stdout).toBe(0);
  const of = (name: string) => checks.find(({ check }) => check === name);
  expect(of('visibility')).toMatchObject({
    level: 'warn',
    found: expect.stringContaining('Temporal lists no workflows: ') as string,
  });
  expect(of('origin')).toMatchObject({
    level: 'warn',
    found: expect.stringMatching(
      /work goes on in this database; .* asked to look again: 1 workflow\b.*Temporal listed none/,
    ) as string,
  });
  receiver.answer(204);
  await startRun({ databaseUrl: database.url, temporal: temporal.settings });
  const [letter] = await openDeadLetters(database, [id]);
  const retried = await runCli(['dlq', 'retry', String(letter?.id)], {
    databaseUrl: database.url,
    env: temporal.env,
  });
  expect(retried.code, retried.stderr).toBe(0);
  await settled(database, [id], patient);
});
