/** The Temporal Schedule, the workflow it starts, and the two commands. */
import type { Client } from '@temporalio/client';
import { expect, test } from 'vitest';
import type { HousekeepingReport } from '../../src/housekeeping/pass.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
  temporalClient,
  type TestDatabase,
} from '../support/index.ts';
import { expectClean, json } from '../cli/commands.ts';
import { session } from '../storage/fixtures.ts';
import { dayTag, makeOldDays, settle, writeOld } from './stage.ts';

async function stage() {
  const [database, receiver, client] = await Promise.all([
    createTestDatabase(),
    startReceiver(),
    temporalClient(),
  ]);
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  return { database, receiver, client };
}

function scheduleOf(client: Client, { name }: TestDatabase) {
  return client.schedule.getHandle(`${name}/housekeeping-schedule`);
}

/** The passes that the schedule started. */
async function passesOf(client: Client, { name }: TestDatabase): Promise<string[]> {
  const ids: string[] = [];
  const query = `WorkflowId STARTS_WITH "${name}/housekeeping/pass" AND ExecutionStatus = "Completed"`;
  for await (const { workflowId } of client.workflow.list({ query })) ids.push(workflowId);
  return ids;
}

test('run makes the schedule; its passes drop days and answer what they did; the marker lives on', async () => {
  const { database, client } = await stage();
  await makeOldDays(database.pool, 9);
  const [kept = '', ...others] = await writeOld(database.pool, 9, 100, { n: 1 });
  await settle(database.pool, others);
  await database.pool.query(
    `update outbox.deliveries set state = 'scheduled', due_at = now() + interval '1 day'`,
  );
  await startRun({ databaseUrl: database.url });
  const schedule = scheduleOf(client, database);
  expect((await schedule.describe()).spec.intervals).toMatchObject([{ every: 3_600_000 }]);
  await schedule.trigger();
  const [pass = ''] = await eventually(async () => {
    const passes = await passesOf(client, database);
    expect(passes).toHaveLength(1);
    return passes;
  });
  const report = (await client.workflow.getHandle(pass).result()) as HousekeepingReport;
  expect(report.dropped.map(({ name }) => name)).toContain(`events_${dayTag(9)}`);
  expect(report.kept).toBe(1);
  expect(await database.rows('select id from outbox.events_kept')).toEqual([{ id: kept }]);
  const marker = await client.workflow.getHandle(`${database.name}/housekeeping`).describe();
  expect(marker.status.name).toBe('RUNNING');

  const shown = json<{
    latest: { report: HousekeepingReport };
    schedule: { paused: boolean; nextAt: string };
  }>(await runCli(['housekeeping', 'show', '--json'], { databaseUrl: database.url }));
  expect(shown.latest.report).toEqual(report);
  expect(shown.schedule.paused).toBe(false);
  expect(Date.parse(shown.schedule.nextAt)).toBeGreaterThan(Date.now());
});

test('it survives restarts as a person left it, and is made again once it is gone', async () => {
  const { database, client } = await stage();
  const first = await startRun({ databaseUrl: database.url });
  const schedule = scheduleOf(client, database);
  await schedule.pause('we are moving house');
  await first.stop();
  const second = await startRun({ databaseUrl: database.url });
  expect((await schedule.describe()).state).toMatchObject({ paused: true, note: 'we are moving house' });
  await second.stop();
  await schedule.delete();
  await startRun({ databaseUrl: database.url, roles: { relay: false, worker: true } });
  expect((await schedule.describe()).state.paused).toBe(false);
});

test('housekeeping run makes a pass without Temporal, and says what it did', async () => {
  const { database } = await stage();
  await makeOldDays(database.pool, 9);
  const env = { TEMPORAL_ADDRESS: '127.0.0.1:9' };
  const first = json<{ skipped: boolean; report: HousekeepingReport }>(
    await runCli(['housekeeping', 'run', '--json'], { databaseUrl: database.url, env }),
  );
  expect(first.skipped).toBe(false);
  expect(first.report.dropped).toHaveLength(3);
  const said = await runCli(['housekeeping', 'run'], { databaseUrl: database.url, env });
  expectClean(said);
  expect(said.stdout).toMatch(
    /^0 days dropped \(0\.0 MiB\), 0 unsettled rows kept, 0 old rows deleted, in \d+ ms\n$/,
  );
  const shown = await runCli(['housekeeping', 'show'], { databaseUrl: database.url, env });
  expectClean(shown);
  expect(shown.stdout).toContain('Temporal cannot be reached');
  expect(shown.stdout).toMatch(/deadLetters\s+90 d/);
});

test('while another pass is under way it leaves that one alone', async () => {
  const { database } = await stage();
  const other = await session(database.url);
  await other.query('select pg_advisory_lock(1869968482, 3000001)');
  const said = await runCli(['housekeeping', 'run', '--json'], { databaseUrl: database.url });
  expect(json(said)).toEqual({ skipped: true, report: null });
});

test('with retention.delivered 0 nothing is written there, and events arrive all the same', async () => {
  const { database, receiver } = await stage();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]
    retention: { delivered: 0 }`,
  );
  await startRun({ databaseUrl: database.url });
  await database.pool.query(
    `insert into outbox.events (type, payload) select 'a', '{}' from generate_series(1, 300)`,
  );
  await eventually(() => expect(receiver.requests).toHaveLength(300));
  await eventually(async () => expect(await database.rows('select 1 from outbox.deliveries')).toEqual([]));
  expect(await database.rows('select 1 from outbox.delivered')).toEqual([]);
});
