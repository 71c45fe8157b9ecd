import { expect, test } from 'vitest';
import { createTestDatabase, runCli } from '../support/index.ts';
import { expectClean, folderWith, json, offline } from './commands.ts';

const good = `destinations:
  billing: { type: http, url: 'https://billing.example/hook', signing: { scheme: standard-webhooks, secrets: [env:NOT_HERE] } }
routes:
  - match: order.*
    where: $.total > 100
    to: [billing]
  - match: log.*
    where: '$.lines[*] ? (@ > 1)'
    to: [billing]
`;

test('migrate makes the schema and applies the file beside it; again it changes nothing', async () => {
  const database = await createTestDatabase({ migrated: false });
  const cwd = await folderWith({ 'outbox.yaml': good });
  const first = json<{ schema: { from: number; to: number }; config: object }>(
    await runCli(['migrate', '--json'], { databaseUrl: database.url, cwd }),
  );
  expect(first.schema.from).toBe(0);
  expect(first.config).toMatchObject({ revision: 1, changed: true, destinations: 1, routes: 2 });
  const again = await runCli(['migrate'], { databaseUrl: database.url, cwd });
  expect(again.stdout).toMatch(/nothing to do\noutbox.yaml is applied already, as revision 1\n/);
  expect(await database.rows('select pattern, filter_mode from outbox.routes order by position')).toEqual([
    { pattern: 'order.*', filter_mode: 'predicate' },
    { pattern: 'log.*', filter_mode: 'items' },
  ]);
});

test('migrate without a file leaves the configuration alone; a file that was named has to exist', async () => {
  const { url } = await createTestDatabase({ migrated: false });
  const cwd = await folderWith();
  const missing = await runCli(['migrate', '--config', 'x.yaml'], { databaseUrl: url, cwd });
  expect(missing).toMatchObject({ code: 2, stdout: '' });
  const named = await runCli(['migrate'], { databaseUrl: url, cwd, env: { OUTBOX_CONFIG: 'x.yaml' } });
  expect(named.stderr).toContain('x.yaml does not exist');
  const without = await runCli(['migrate', '--json'], { databaseUrl: url, cwd });
  expect(json(without)).toMatchObject({ config: null });
});

test('a refused file stops migrate before the schema is touched; --skip-config does without it', async () => {
  const database = await createTestDatabase({ migrated: false });
  const cwd = await folderWith({ 'outbox.yaml': good.replace('url:', 'ulr:') });
  const refused = await runCli(['migrate'], { databaseUrl: database.url, cwd });
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toMatch(/outbox.yaml:2:\d+ .*ulr/);
  expect(await database.rows(`select to_regclass('outbox.events') as events`)).toEqual([{ events: null }]);
  expect(
    json(await runCli(['migrate', '--skip-config', '--json'], { databaseUrl: database.url, cwd })),
  ).toMatchObject({
    config: null,
  });
});

test('config check needs no server, and has PostgreSQL read the filters when there is one', async () => {
  const cwd = await folderWith({ 'outbox.yaml': good });
  const alone = await offline(['config', 'check', '--json'], { cwd, databaseUrl: '' });
  expect(json(alone)).toMatchObject({ ok: true, destinations: 1, routes: 2, filters: null });
  expect(alone.stderr).toContain('NOT_HERE');
  const { url } = await createTestDatabase();
  const asked = json(await runCli(['config', 'check', '--json'], { databaseUrl: url, cwd }));
  expect(asked['filters']).toEqual([
    { match: 'order.*', where: '$.total > 100', mode: 'predicate' },
    { match: 'log.*', where: '$.lines[*] ? (@ > 1)', mode: 'items' },
  ]);
});

test('a filter that PostgreSQL does not take is an error with its line, and nothing is applied', async () => {
  const database = await createTestDatabase();
  const cwd = await folderWith({ 'outbox.yaml': good.replace('$.total > 100', '$.total >>> 100') });
  for (const args of [['config', 'check'], ['config', 'apply'], ['migrate']]) {
    const ended = await runCli(args, { databaseUrl: database.url, cwd });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(/outbox\.yaml:5:12 {2}routes\[0\]\.where: expected a jsonpath/);
    expectClean(ended);
  }
  expect(await database.rows('select revision from outbox.config_revisions')).toEqual([]);
});

test('config apply writes revisions, and refuses to take a destination from under its deliveries', async () => {
  const database = await createTestDatabase();
  const apply = async (text: string) =>
    runCli(['config', 'apply', '--json'], {
      databaseUrl: database.url,
      cwd: await folderWith({ 'outbox.yaml': text }),
    });
  expect(json(await apply(good))).toMatchObject({ revision: 1, changed: true });
  expect(json(await apply(good))).toMatchObject({ revision: 1, changed: false });
  await database.pool.query(`insert into outbox.events (type, payload) values ('order.x', '{"total": 101}')`);
  const renamed = await apply(good.replaceAll('billing', 'invoicing'));
  expect(renamed).toMatchObject({ code: 2, stdout: '' });
  expect(renamed.stderr).toContain('destination billing still has unsettled deliveries');
  expect(await database.rows('select max(revision) as revision from outbox.config_revisions')).toEqual([
    { revision: 1 },
  ]);
});

test('config explain prints timetables, config schema a JSON Schema', async () => {
  const cwd = await folderWith({ 'outbox.yaml': good });
  expect((await offline(['config', 'explain'], { cwd })).stdout).toMatch(
    /billing \(http\)[\s\S]*attempt 1 at once/,
  );
  expect(json(await offline(['config', 'explain', '--json'], { cwd }))).toMatchObject({
    destinations: [{ name: 'billing' }],
  });
  expect(json(await offline(['config', 'schema', '--json']))).toMatchObject({ title: 'outbox.yaml' });
});
