/** A person pauses in the Temporal UI: a workflow, the activity it is in, the Schedule. Whoever looks at ours is told. */
import { beforeAll, expect, test } from 'vitest';
import { housekeepingScheduleId } from '../../src/temporal/schedule.ts';
import { openDeadLetters, settled } from '../resolve/stage.ts';
import { writeEvents } from '../crash/drain.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
  type Receiver,
  type TestDatabase,
  type TestRun,
} from '../support/index.ts';
import { ownTemporal, type OwnTemporal } from './ownTemporal.ts';
import { onlyWithEverything } from '../support/everything.ts';

let temporal: OwnTemporal;
beforeAll(async () => {
  temporal = await ownTemporal({ 'frontend.WorkflowPauseEnabled': true });
});

const patient = { timeout: 60_000, interval: 500 };
const says = expect.stringMatching(
  /paused in the Temporal UI by ann@desk at 20\d\d-.+: asked by sales/,
) as string;

interface Stage {
  readonly database: TestDatabase;
  readonly receiver: Receiver;
  readonly running: TestRun;
  readonly cli: (...args: string[]) => Promise<{ code: number | null; stdout: string; stderr: string }>;
}

async function stage(answer: number): Promise<Stage> {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer });
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver.url}', circuit: { enabled: false }, timeout: 60s }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const running = await startRun({ databaseUrl: database.url, temporal: temporal.settings });
  const cli: Stage['cli'] = (...args) => runCli(args, { databaseUrl: database.url, env: temporal.env });
  return { database, receiver, running, cli };
}

const pause = { identity: 'ann@desk', reason: 'asked by sales' };

async function pauseWorkflow(workflowId: string): Promise<void> {
  const { namespace } = temporal.settings;
  await temporal.client.workflowService.pauseWorkflowExecution({ namespace, workflowId, ...pause });
}

async function unpauseWorkflow(workflowId: string): Promise<void> {
  const { namespace } = temporal.settings;
  await temporal.client.workflowService.unpauseWorkflowExecution({ namespace, workflowId, ...pause });
}

async function findingOf({ cli }: Stage, name: string) {
  const { checks } = JSON.parse((await cli('doctor', '--json')).stdout) as {
    checks: { check: string; level: string; found: string; hint: string }[];
  };
  return checks.find(({ check }) => check === name);
}

test('a paused workflow with a dead letter: status, dlq show and doctor say by whom; it is not taken for a missing one; a command says why nothing answers, and acts once it is unpaused', async () => {
  const place = await stage(422);
  const { database, receiver, running, cli } = place;
  const [id = ''] = await writeEvents(database.pool, 1);
  const workflowId = `${database.name}/deliver/billing/${id}`;
  await eventually(() => temporal.client.workflow.getHandle(workflowId).describe(), patient);
  await eventually(async () => expect(await openDeadLetters(database, [id])).toHaveLength(1), patient);
  await pauseWorkflow(workflowId);
  await eventually(async () => {
    expect(JSON.parse((await cli('status', '--json')).stdout)).toMatchObject({
      pausedWorkflows: [{ workflowId, destination: 'billing', held: 1, note: says }],
    });
  }, patient);
  expect((await cli('status')).stdout).toContain('paused in the Temporal UI by ann@desk');
  const [letter] = await openDeadLetters(database, [id]);
  expect(JSON.parse((await cli('dlq', 'show', String(letter?.id), '--json')).stdout)).toMatchObject({
    workflowPaused: says,
  });
  expect(await findingOf(place, 'paused workflows')).toMatchObject({
    level: 'warn',
    found: says,
    hint: expect.stringContaining('unpause') as string,
  });
  receiver.answer(204);
  const retried = await cli('dlq', 'retry', String(letter?.id), '--timeout', '4s');
  expect(retried.code).toBe(3);
  expect(retried.stderr + retried.stdout).toMatch(/paused in the Temporal UI by ann@desk/);
  // Two looks of the reconciler later it is still what it was.
  expect(await openDeadLetters(database, [id])).toMatchObject([{ reason: 'permanent', park_no: 1 }]);
  expect(running.logged.filter(({ message }) => message.includes('without a workflow'))).toEqual([]);
  expect(running.logged.filter(({ message }) => message.startsWith('its workflow was paused'))).toHaveLength(
    1,
  );
  await unpauseWorkflow(workflowId);
  const again = await cli('dlq', 'retry', String(letter?.id));
  expect(
    again.code === 0 || /resolved before/.test(again.stdout + again.stderr),
    again.stdout + again.stderr,
  ).toBe(true);
  await settled(database, [id], patient);
});

test('the paused workflow of a held destination: doctor says who paused it', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const place = await stage(204);
  expect((await place.cli('destinations', 'pause', 'billing')).code).toBe(0);
  const workflowId = `${place.database.name}/destination/billing`;
  await pauseWorkflow(workflowId);
  await eventually(async () => {
    expect(await findingOf(place, 'paused workflows')).toMatchObject({ level: 'warn', found: says });
  }, patient);
  const resumed = await place.cli('destinations', 'resume', 'billing', '--timeout', '4s');
  expect(resumed.code).toBe(3);
  expect(resumed.stderr).toMatch(/paused in the Temporal UI by ann@desk/);
  await unpauseWorkflow(workflowId);
  expect((await place.cli('destinations', 'resume', 'billing')).code).toBeLessThan(2);
});

test('a paused activity is told as a paused workflow is', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const place = await stage(204);
  place.receiver.answer({ status: 204, delayMs: 50_000 });
  const [id = ''] = await writeEvents(place.database.pool, 1);
  let workflowId = '';
  await eventually(async () => {
    const rows = await place.database.rows<{ workflow_id: string }>('select workflow_id from outbox.batches');
    workflowId = rows[0]?.workflow_id ?? '';
    const { raw } = await temporal.client.workflow.getHandle(workflowId).describe();
    expect(raw.pendingActivities).toHaveLength(1);
  }, patient);
  await temporal.client.workflowService.pauseActivity({
    namespace: temporal.settings.namespace,
    execution: { workflowId },
    type: 'attempt',
    ...pause,
  });
  await eventually(async () => {
    expect(await findingOf(place, 'paused workflows')).toMatchObject({ level: 'warn', found: says });
  }, patient);
  expect(id).not.toBe('');
});

test('a paused Schedule: doctor and housekeeping show say so, with the note of who did', async () => {
  const place = await stage(204);
  const schedule = temporal.client.schedule.getHandle(housekeepingScheduleId(place.database.name));
  await eventually(() => schedule.describe());
  await schedule.pause('ann: audit in June');
  expect(await findingOf(place, 'housekeeping')).toMatchObject({
    level: 'warn',
    found: expect.stringContaining('paused in Temporal (ann: audit in June)') as string,
  });
  expect((await place.cli('housekeeping', 'show')).stdout).toContain(
    'paused in Temporal (ann: audit in June)',
  );
});
