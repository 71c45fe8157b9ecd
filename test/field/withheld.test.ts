/** Temporal works, and does not let us look: the right to describe or list was taken away, or a limit refuses it. */
import { beforeAll, expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import { settled } from '../resolve/stage.ts';
import { writeEvents } from '../crash/drain.ts';
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
import { ownTemporal, type OwnTemporal } from './ownTemporal.ts';
import { denied, limited, startTemporalGate } from './temporalGate.ts';
import { onlyWithEverything } from '../support/everything.ts';

let temporal: OwnTemporal;
beforeAll(async () => {
  temporal = await ownTemporal({});
});

const patient = { timeout: 60_000, interval: 250 };

async function stage(): Promise<{ database: TestDatabase; receiver: Receiver }> {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  return { database, receiver };
}

test.for([
  ['denied', denied],
  ['limited', limited],
] as const)(
  'describing a workflow %s: claims without a workflow get one, and nothing is sent twice',
  { timeout: 120_000 },
  async ([how, refusal], context) => {
    if (how === 'limited') onlyWithEverything(context, 'a sibling is shown');
    const { database, receiver } = await stage();
    const gate = await startTemporalGate(temporal.settings.address);
    const settings = { address: gate.address, namespace: temporal.settings.namespace };
    const victim = spawnRun({
      databaseUrl: database.url,
      env: {
        ...temporal.env,
        OUTBOX_FAILPOINTS: 'before-start=exit',
        OUTBOX_FAILPOINTS_ALLOWED: 'crash-test',
      },
    });
    await eventually(() => expect(victim.stdout()).toContain('relay started'), patient);
    const ids = await writeEvents(database.pool, 20);
    await victim.ended;
    await startRun({ databaseUrl: database.url, temporal: settings });
    // Long before the dead one's claims are old enough to be looked at.
    gate.refuse(['DescribeWorkflowExecution'], refusal);
    await settled(database, ids, patient);
    expect(receiver.requests.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(gate.refused.get('DescribeWorkflowExecution')).toBeGreaterThan(0);
  },
);

test('describing the namespace, the schedule and the lists denied: the process goes on and is ready, doctor says what it cannot see', async () => {
  const { database, receiver } = await stage();
  const gate = await startTemporalGate(temporal.settings.address);
  const { endpoints } = await startRun({
    databaseUrl: database.url,
    temporal: { address: gate.address, namespace: temporal.settings.namespace },
    metricsListen: parseListen('127.0.0.1:0'),
  });
  gate.refuse([
    'DescribeNamespace',
    'DescribeSchedule',
    'ListWorkflowExecutions',
    'ListSearchAttributes',
    'DescribeTaskQueue',
  ]);
  const ids = await writeEvents(database.pool, 5);
  await settled(database, ids, patient);
  expect(receiver.requests).toHaveLength(5);
  await eventually(async () => {
    const response = await fetch(`${endpoints['metrics']}/readyz`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      checks: {
        temporal: { ok: true, says: expect.stringContaining('does not say which store it is') as string },
      },
    });
  }, patient);
  gate.refuse(['DescribeSchedule', 'ListWorkflowExecutions', 'ListSearchAttributes', 'DescribeTaskQueue']);
  const ended = await runCli(['doctor', '--json'], {
    databaseUrl: database.url,
    env: { ...temporal.env, TEMPORAL_ADDRESS: gate.address },
  });
  expect(ended.code, ended.stdout).toBe(0);
  const { checks } = JSON.parse(ended.stdout) as {
    checks: { check: string; level: string; found: string }[];
  };
  for (const name of ['visibility', 'housekeeping'])
    expect(checks.find(({ check }) => check === name)).toMatchObject({
      level: 'warn',
      found: expect.stringContaining('Request unauthorized.') as string,
    });
});

test('without the right to describe the namespace a start says which right it lacks', async () => {
  const { database } = await stage();
  const gate = await startTemporalGate(temporal.settings.address);
  gate.refuse(['DescribeNamespace']);
  const ended = await runCli(['run', '--json', '--wait', '2s'], {
    databaseUrl: database.url,
    env: { ...temporal.env, TEMPORAL_ADDRESS: gate.address },
  });
  expect(ended.code).toBe(3);
  expect(ended.stderr + ended.stdout).toMatch(
    /Request unauthorized.*DescribeNamespace|DescribeNamespace.*Request unauthorized/s,
  );
});
