import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { atEnd, createTestDatabase, eventually, runCli, servers, spawnRun } from '../support/index.ts';
import { expectClean, folderWith, jsonError, nowhere, offline } from './commands.ts';
import { onlyWithEverything } from '../support/everything.ts';

const commands: readonly (readonly string[])[] = [
  ['status'],
  ['doctor'],
  ['send', 'a.b', '--payload', '{}'],
  ['dlq', 'list'],
  ['dlq', 'show', '1'],
  ['dlq', 'retry', '1'],
  ['dlq', 'discard', '--all', '--yes', '--reason', 'x'],
  ['dlq', 'edit', '1', '--payload', '{}'],
  ['dlq', 'redirect', '1', '--to', 'b'],
  ['migrate'],
  ['run', '--wait', '100ms'],
  ['relay', '--wait', '100ms'],
  ['worker', '--wait', '100ms'],
];

/** Every day; all else with OUTBOX_TEST_ALL=1. */
const daily = ['status', 'dlq list', 'run --wait 100ms'];

test.for(commands.map((args) => ({ line: args.join(' '), args })))(
  '$line: PostgreSQL away is exit code 3, without a stack or the password',
  async ({ line, args }, context) => {
    if (!daily.includes(line)) onlyWithEverything(context, 'a sibling is shown');
    const ended = await offline(args, { env: { TEMPORAL_ADDRESS: '127.0.0.1:9' } });
    expect(ended.code).toBe(3);
    expect(ended.stdout + ended.stderr).toContain('cannot use PostgreSQL at 127.0.0.1:9/orders');
    expectClean(ended);
  },
);

test('with --json the error is one JSON value with code, message and hint', async () => {
  const ended = await offline(['status', '--json']);
  expect(ended.code).toBe(3);
  expect(jsonError(ended)).toEqual({
    code: 'OUTBOX_POSTGRES_UNREACHABLE',
    message: expect.stringContaining('127.0.0.1:9/orders') as string,
    hint: expect.stringContaining('OUTBOX_DATABASE_URL') as string,
  });
});

test('a wrong password is exit code 3, and not shown', async () => {
  const url = new URL(servers().databaseUrl);
  url.password = 's3cr3t-pass';
  const ended = await runCli(['status'], { databaseUrl: url.href });
  expect(ended.code).toBe(3);
  expect(ended.stderr).toContain('password authentication failed');
  expectClean(ended);
});

test('Temporal away is exit code 3 for what needs it, and nothing to what does not', async () => {
  const { url } = await createTestDatabase();
  const env = { TEMPORAL_ADDRESS: '127.0.0.1:9' };
  for (const args of [['dlq', 'retry', '1'], ['run', '--wait', '200ms'], ['doctor']]) {
    const ended = await runCli(args, { databaseUrl: url, env });
    expect(ended.code).toBe(3);
    expect(ended.stdout + ended.stderr).toContain('cannot use Temporal at 127.0.0.1:9: Connection refused');
    expectClean(ended);
  }
  expect((await runCli(['status'], { databaseUrl: url, env })).code).toBe(0);
});

test('run waits for a server that comes up later, says so, and gives up when told to stop', async () => {
  const spawned = spawnRun({ databaseUrl: nowhere, args: ['run'] });
  await eventually(() => expect(spawned.stdout()).toContain('not reachable yet'));
  spawned.child.kill('SIGTERM');
  expect(await spawned.ended).toEqual({ code: 0, signal: null });
});

test('an address that accepts and says nothing does not hang a command', { timeout: 60_000 }, async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => server.close());
  const { port } = server.address() as AddressInfo;
  const ended = await offline(['status'], { databaseUrl: `postgresql://u:s3cr3t-pass@127.0.0.1:${port}/db` });
  expect(ended.code).toBe(3);
  expectClean(ended);
});

test('a database without our schema says: run migrate', async () => {
  const { url } = await createTestDatabase({ migrated: false });
  const cwd = await folderWith();
  for (const args of [
    ['status'],
    ['dlq', 'list'],
    ['run'],
    ['send', 'a', '-p', '1'],
    ['dlq', 'retry', '1'],
  ]) {
    const ended = await runCli(args, { databaseUrl: url, cwd });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(/OUTBOX_SCHEMA_MISSING.*\n.*temporal-outbox migrate/);
    expectClean(ended);
  }
});

test('an older schema says: run migrate; a newer one says: deploy the newer version', async () => {
  const database = await createTestDatabase();
  await database.pool.query(
    'delete from outbox.migrations where version = (select max(version) from outbox.migrations)',
  );
  const older = await runCli(['status'], { databaseUrl: database.url });
  expect(older).toMatchObject({ code: 1, stdout: '' });
  expect(older.stderr).toMatch(/OUTBOX_SCHEMA_MISSING.*is at version \d+.*\n.*migrate/);
  await database.pool.query(`insert into outbox.migrations values (9999, 'later', '')`);
  const newer = await runCli(['status'], { databaseUrl: database.url });
  expect(newer.code).toBe(1);
  expect(newer.stderr).toContain('OUTBOX_SCHEMA_NEWER');
});
