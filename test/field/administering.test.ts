/** Commands that change much take as long as they need, say what they wait for, and can be interrupted. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createTestDatabase, eventually, spawnRun, type TestDatabase } from '../support/index.ts';
import { startTcpProxy } from '../support/tcpProxy.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { stranger } from './stage.ts';

async function applying(database: TestDatabase, databaseUrl = database.url) {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-'));
  await writeFile(
    join(folder, 'outbox.yaml'),
    `name: ${database.name}\ndestinations: { billing: { type: http, url: 'http://127.0.0.1:9/' } }\nroutes: [{ match: '*', to: [billing] }]\n`,
  );
  return spawnRun({ databaseUrl, args: ['config', 'apply'], cwd: folder });
}

test('config apply behind a lock says who holds it, and Ctrl-C cancels it on the server', async () => {
  const database = await createTestDatabase();
  const other = await stranger(database);
  await other.query('begin; select from outbox.settings for update');
  const command = await applying(database);
  await eventually(
    () => expect(command.stderr()).toMatch(/still under way after \d+ s: waits for a lock held by pid \d+/),
    {
      timeout: 20_000,
    },
  );
  await command.kill('SIGINT');
  expect(command.stderr()).toContain('OUTBOX_INTERRUPTED');
  expect((await command.ended).code).toBe(1);
  const [waiting] = await database.rows<{ n: number }>(
    `select count(*)::int as n from pg_stat_activity where application_name = 'temporal-outbox-cli' and datname = current_database()`,
  );
  expect(waiting?.n).toBe(0);
  await other.query('rollback');
  expect(await database.rows('select 1 from outbox.config_revisions')).toEqual([]);
});

test('config apply goes on when the lock is gone', async () => {
  const database = await createTestDatabase();
  const other = await stranger(database);
  await other.query('begin; select from outbox.settings for update');
  const command = await applying(database);
  await eventually(() => expect(command.stderr()).toContain('still under way'), { timeout: 20_000 });
  await other.query('rollback');
  expect((await command.ended).code).toBe(0);
  expect(command.stdout()).toContain('applied as revision');
});

test('config apply behind a lock of 70 s is applied, and says so', { timeout: 150_000 }, async (context) => {
  onlyWithEverything(context);
  const database = await createTestDatabase();
  const other = await stranger(database);
  await other.query('begin; select from outbox.settings for update');
  const command = await applying(database);
  await sleep(70_000);
  await other.query('rollback');
  expect((await command.ended).code).toBe(0);
});

test('migrate waits for its lock, and says what it waits for', async () => {
  const database = await createTestDatabase();
  const other = await stranger(database);
  await other.query('begin; select pg_advisory_xact_lock(1869968482, 1000000)');
  const command = spawnRun({ databaseUrl: database.url, args: ['migrate', '--skip-config'] });
  await eventually(() => expect(command.stderr()).toContain('waits for a lock held by pid'), {
    timeout: 20_000,
  });
  await other.query('rollback');
  expect((await command.ended).code).toBe(0);
});

test('a connection that breaks in the middle of a command is told as unknown or undone, not as unreachable', async () => {
  const database = await createTestDatabase();
  const other = await stranger(database);
  await other.query('begin; select from outbox.settings for update');
  const command = await applying(database);
  const ended = async () =>
    (
      await database.rows(`select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'temporal-outbox-cli' and datname = current_database() and wait_event_type = 'Lock'`)
    ).length;
  await eventually(async () => expect(await ended()).toBeGreaterThan(0), { timeout: 10_000 });
  expect((await command.ended).code).toBe(3);
  expect(command.stderr()).toMatch(/terminating connection|Connection terminated/);
  await other.query('rollback');
});

test('a command whose wire is cut says that what was under way may be done or not', async () => {
  const database = await createTestDatabase();
  const { host, hostname, port } = new URL(database.url);
  const proxy = await startTcpProxy(`${hostname}:${port}`);
  const other = await stranger(database);
  await other.query('begin; select from outbox.settings for update');
  const command = await applying(database, database.url.replace(host, proxy.address));
  await eventually(() => expect(command.stderr()).toContain('still under way'), { timeout: 20_000 });
  await proxy.become('refuse');
  expect((await command.ended).code).toBe(3);
  expect(command.stderr()).toContain('error OUTBOX_OUTCOME_UNKNOWN');
  expect(command.stderr()).toContain('may be done or not');
  await other.query('rollback');
});
