/** run with several databases: each delivers its own, and what befalls one is no matter of the others. */
import pg from 'pg';
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { describeDatabase } from '../../src/storage/databaseUrl.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { scrape } from '../metrics/scrape.ts';
import { folderWith, type Ended } from '../cli/commands.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  spawnRun,
  startReceiver,
  type Receiver,
  type SpawnedRun,
  type TestDatabase,
} from '../support/index.ts';

interface Tenant {
  readonly database: TestDatabase;
  readonly receiver: Receiver;
  readonly send: () => Promise<string>;
}

async function openTenant(migrated = true): Promise<Tenant> {
  const [database, receiver] = await Promise.all([createTestDatabase({ migrated }), startReceiver()]);
  if (migrated) await configure({ database, receiver });
  return {
    database,
    receiver,
    send: async () => {
      const event = { type: 'order.created', payload: 1 };
      return (await enqueue(database.pool, event, { ownTransaction: true })).id;
    },
  };
}

async function configure({ database, receiver }: Pick<Tenant, 'database' | 'receiver'>): Promise<void> {
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
}

async function runAll(tenants: readonly Tenant[], env: Record<string, string> = {}): Promise<SpawnedRun> {
  const urls = Object.fromEntries(tenants.map(({ database }, index) => [`TENANT_${index}`, database.url]));
  const given = Object.keys(urls).flatMap((name) => ['--database-url', `env:${name}`]);
  return spawnRun({
    databaseUrl: '',
    args: ['run', ...given, '--metrics-listen', '127.0.0.1:0'],
    env: { ...urls, ...env },
    cwd: await folderWith(),
  });
}

async function endpointOf(spawned: SpawnedRun): Promise<string> {
  return eventually(() => {
    const [, url] = /"metrics":"(http:[^"]+)"/.exec(spawned.stdout()) ?? [];
    expect(url).toBeDefined();
    return url ?? '';
  });
}

async function readiness(
  endpoint: string,
): Promise<{ ok: boolean; checks: Record<string, { ok: boolean; says?: string }> }> {
  return (await (await fetch(`${endpoint}/readyz`)).json()) as Awaited<ReturnType<typeof readiness>>;
}

async function onServer(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client(url.replace(/\/[^/]*$/, '/postgres'));
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

test('each delivers its own events; one whose database is away is named, holds up no other, and goes on by itself', async () => {
  const [away, well] = [await openTenant(), await openTenant()];
  const spawned = await runAll([away, well]);
  const endpoint = await endpointOf(spawned);
  for (const tenant of [away, well]) {
    const id = await tenant.send();
    await eventually(() => expect(tenant.receiver.of(id)).toHaveLength(1));
  }
  expect(away.receiver.requests).toHaveLength(1);
  expect(well.receiver.requests).toHaveLength(1);

  const { name, url } = away.database;
  const waiting = await away.send();
  await onServer(
    url,
    `alter database "${name}" allow_connections false`,
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`,
  );
  const label = describeDatabase(url);
  await eventually(async () => {
    const { ok, checks } = await readiness(endpoint);
    expect(ok).toBe(true);
    expect(checks[label]).toMatchObject({
      ok: false,
      says: expect.stringContaining('not currently accepting') as string,
    });
    expect(checks[describeDatabase(well.database.url)]).toMatchObject({ ok: true });
  });
  const meanwhile = await well.send();
  await eventually(() => expect(well.receiver.of(meanwhile)).toHaveLength(1));
  await onServer(url, `alter database "${name}" allow_connections true`);
  await eventually(async () =>
    expect(await readiness(endpoint)).toMatchObject({ checks: { [label]: { ok: true } } }),
  );
  await eventually(() => expect(away.receiver.of(waiting)).toHaveLength(1));

  const { text, series } = await scrape(endpoint);
  const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, family]) => family);
  expect(families).toEqual([...new Set(families)]);
  expect(
    series
      .filter((each) => each.name === 'outbox_running')
      .map((each) => [each.labels['database'], each.value]),
  ).toEqual([
    [label, 1],
    [describeDatabase(well.database.url), 1],
  ]);
  await spawned.kill('SIGTERM');
  expect(await spawned.ended).toEqual({ code: 0, signal: null });
});

test('one that has no schema yet keeps none from starting, and is taken up once it has', async () => {
  const [bare, well] = [await openTenant(false), await openTenant()];
  const spawned = await runAll([bare, well]);
  const endpoint = await endpointOf(spawned);
  const id = await well.send();
  await eventually(() => expect(well.receiver.of(id)).toHaveLength(1));
  const label = describeDatabase(bare.database.url);
  expect((await readiness(endpoint)).checks[label]).toMatchObject({
    ok: false,
    says: expect.stringContaining('schema') as string,
  });
  expect((await scrape(endpoint)).series).toContainEqual(
    expect.objectContaining({ name: 'outbox_running', labels: { database: label }, value: 0 }),
  );
  await migrate(bare.database.pool);
  await configure(bare);
  const later = await bare.send();
  await eventually(() => expect(bare.receiver.of(later)).toHaveLength(1), { timeout: 30_000 });
});

test('no configuration reaches the address of another’s database', async () => {
  const [curious, other] = [await openTenant(), await openTenant()];
  await applyTestConfig(
    curious.database,
    `
    destinations: { billing: { type: http, url: '${curious.receiver.url}', headers: { x-stolen: 'env:TENANT_1' } } }
    routes: [{ match: '*', to: [billing] }]`,
    { TENANT_1: 'of another process' },
  );
  const spawned = await runAll([curious, other]);
  const id = await other.send();
  await eventually(() => expect(other.receiver.of(id)).toHaveLength(1));
  await eventually(() => expect(spawned.stdout()).toContain('TENANT_1'));
  await curious.send();
  await eventually(async () =>
    expect(
      (await readiness(await endpointOf(spawned))).checks[describeDatabase(curious.database.url)],
    ).toMatchObject({ ok: false }),
  );
  expect(curious.receiver.requests).toHaveLength(0);
});

function expectFailure(
  { code, stderr }: Ended,
  expected: { exitCode: number; code: string; says: string },
): void {
  expect([code, stderr]).toEqual([expected.exitCode, expect.stringContaining(expected.says)]);
  expect(stderr).toContain(expected.code);
}

test('what cannot be several is refused, and so is a process that can serve none', async () => {
  const { database } = await openTenant();
  const twice = await runCli(['run', '--database-url', database.url, '--database-url', 'env:SAME'], {
    databaseUrl: '',
    env: { SAME: database.url },
  });
  expectFailure(twice, { exitCode: 2, code: 'OUTBOX_USAGE', says: 'is named twice' });
  const api = await runCli(
    ['run', '--database-url', database.url, '--database-url', 'env:OTHER', '--api-listen', '127.0.0.1:0'],
    { databaseUrl: '', env: { OTHER: 'postgresql://u:p@127.0.0.1:1/other' } },
  );
  expectFailure(api, { exitCode: 2, code: 'OUTBOX_USAGE', says: '--api-listen with several databases' });
  const none = await runCli(
    ['run', '--wait', '0s', '--database-url', 'env:ONE', '--database-url', 'env:OTHER'],
    {
      databaseUrl: '',
      env: { ONE: 'postgresql://u:pass-1@127.0.0.1:1/one', OTHER: 'postgresql://u:pass-2@127.0.0.1:1/other' },
    },
  );
  expectFailure(none, { exitCode: 3, code: 'OUTBOX_POSTGRES_UNREACHABLE', says: '127.0.0.1:1/one' });
  expect(none.stdout + none.stderr).not.toContain('pass-');
});
