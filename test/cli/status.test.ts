import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
  type TestDatabase,
} from '../support/index.ts';
import { folderWith, json } from './commands.ts';
import { partitionDaysAhead } from '../support/everything.ts';

interface Check {
  readonly check: string;
  readonly level: string;
  readonly found: string;
}

async function configured(): Promise<{ database: TestDatabase; cwd: string }> {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 422 });
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver.url}' }
      audit: { type: http, url: '${receiver.url}' }
    routes: [{ match: 'order.*', to: [billing] }]`,
  );
  return { database, cwd: await folderWith() };
}

async function checksOf(
  database: TestDatabase,
  cwd: string,
  args: string[] = [],
  code = 0,
): Promise<Map<string, Check>> {
  const ended = await runCli(['doctor', '--json', ...args], { databaseUrl: database.url, cwd });
  const { checks } = json<{ checks: Check[] }>(ended, code);
  return new Map(checks.map((check) => [check.check, check]));
}

test('status counts by destination and state, and what no route took, by type', async () => {
  const { database } = await configured();
  await enqueue(
    database.pool,
    [
      { type: 'order.a', payload: 1 },
      { type: 'order.b', payload: 1, deliverAt: new Date(Date.now() + 3_600_000) },
      { type: 'log.x', payload: 1 },
      { type: 'log.x', payload: 1 },
    ],
    { ownTransaction: true },
  );
  const before = json(await runCli(['status', '--json'], { databaseUrl: database.url }));
  expect(before).toMatchObject({
    name: database.name,
    configRevision: 1,
    temporalNamespaceId: null,
    destinations: [
      { destination: 'audit', pending: 0, oldestPendingMs: null },
      { destination: 'billing', pending: 1, scheduled: 1, parked: 0, relay: null },
    ],
    unrouted: [{ type: 'log.x', events: 2 }],
    relays: [],
  });
  await startRun({ databaseUrl: database.url });
  await eventually(async () => {
    const after = json(await runCli(['status', '--json'], { databaseUrl: database.url }));
    expect(after).toMatchObject({
      destinations: [{ relay: expect.any(String) as string }, { pending: 0, scheduled: 1, parked: 1 }],
      relays: [{ lanes: 2 }],
    });
  });
  const text = await runCli(['status'], { databaseUrl: database.url });
  expect(text.stdout).toMatch(/DESTINATION +PENDING +SCHEDULED +BLOCKED +DELIVERING +RETRYING +PARKED/);
  expect(text.stdout).toMatch(/events that no route took\n {2}log\.x {2}2/);
});

test('doctor warns of what nobody works on, and is content once somebody does', async () => {
  const { database, cwd } = await configured();
  await enqueue(database.pool, { type: 'log.x', payload: 1 }, { ownTransaction: true });
  const before = await checksOf(database, cwd);
  expect(before.get('relays')?.level).toBe('warn');
  expect(before.get('lanes')?.found).toContain('nobody owns audit, billing');
  expect(before.get('workers')?.level).toBe('warn');
  expect(before.get('routing')?.found).toContain('log.x (1)');
  expect(before.get('partitions')).toMatchObject({ level: 'ok', found: `${partitionDaysAhead} days ahead` });
  await startRun({ databaseUrl: database.url });
  await eventually(async () => {
    const after = await checksOf(database, cwd);
    expect([...after.values()].filter(({ level }) => level !== 'ok').map(({ check }) => check)).toEqual([
      'routing',
    ]);
  });
});

test('doctor tells a file that differs from what is applied', async () => {
  const { database, cwd } = await configured();
  const file = await folderWith({
    'outbox.yaml': `name: ${database.name}\ndestinations: { billing: { type: http, url: 'https://other.example' } }\nroutes: [{ match: 'a', to: [billing] }]\n`,
  });
  expect((await checksOf(database, cwd)).get('configuration')?.level).toBe('ok');
  expect((await checksOf(database, file)).get('configuration')).toMatchObject({ level: 'warn' });
});

test('rows of another namespace: run, retry and doctor refuse; doctor --adopt takes them over', async () => {
  const { database, cwd } = await configured();
  await database.pool.query(`update outbox.settings set temporal_namespace_id = 'one that is gone'`);
  for (const args of [['run'], ['dlq', 'retry', '1']]) {
    const refused = await runCli(args, { databaseUrl: database.url, cwd });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/OUTBOX_TEMPORAL_MISMATCH.*\n.*doctor --adopt/);
  }
  expect((await checksOf(database, cwd, [], 1)).get('binding')?.level).toBe('fail');
  expect((await checksOf(database, cwd, ['--adopt'])).get('binding')?.found).toContain('adopted');
  expect((await checksOf(database, cwd)).get('binding')?.level).toBe('ok');
});
