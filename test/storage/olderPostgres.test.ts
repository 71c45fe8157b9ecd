/** The same SQL on a server older than the embedded 18, where the system has one. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { finishAttempt, recordFailures } from '../../src/storage/attempts.ts';
import { claimOpenBatches, makePartitions } from '../../src/storage/claims.ts';
import { connect, type Pool } from '../../src/storage/connect.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { prepareRevision, resolve } from '../../src/storage/resolutions.ts';
import { enqueue } from '../../src/index.ts';
import { applyTestConfig, atEnd, eventually, uniqueName } from '../support/index.ts';
import { failure, rowsOfBatch, soleRelay, yamlOf } from './fixtures.ts';

const oldest = 15;

interface Installed {
  readonly bin: string;
  readonly version: number;
}

/** Debian's and Red Hat's places; the oldest that we support. */
function installed(): Installed | undefined {
  const places = ['/usr/lib/postgresql/{}/bin', '/usr/pgsql-{}/bin'];
  const found = Array.from({ length: 18 - oldest }, (_, n) => oldest + n).flatMap((version) =>
    places.map((place) => ({ version, bin: place.replace('{}', String(version)) })),
  );
  return found.find(({ bin }) => existsSync(join(bin, 'initdb')));
}

/** Root may not run it: the user of the package does. */
function serverUser(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const line = execFileSync('getent', ['passwd', 'postgres'], { encoding: 'utf8' }).split(':');
  return { uid: Number(line[2]), gid: Number(line[3]) };
}

async function start({ bin }: Installed): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'outbox-older-postgres-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const user = serverUser();
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale', 'C', '--no-sync'];
  execFileSync(join(bin, 'initdb'), initdb, { ...user, cwd: '/', stdio: 'pipe' });
  const port = await freePort();
  const settings = ['fsync=off', `port=${port}`, 'listen_addresses=127.0.0.1', 'unix_socket_directories='];
  const server = spawn(
    join(bin, 'postgres'),
    ['-D', data, ...settings.flatMap((setting) => ['-c', setting])],
    {
      ...user,
      cwd: '/',
      stdio: 'ignore',
    },
  );
  const ended = once(server, 'exit');
  atEnd(async () => {
    server.kill('SIGQUIT');
    await ended;
  });
  expect(statSync(data).isDirectory()).toBe(true);
  return `postgresql://postgres@127.0.0.1:${port}/postgres`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function poolAt(url: string): Promise<Pool> {
  const pool = connect(url);
  atEnd(() => pool.end());
  await eventually(() => pool.query('select 1'));
  return pool;
}

test('on the oldest PostgreSQL at hand the schema migrates, events are written, claimed, parked and resolved', async ({
  skip,
}) => {
  const found = installed();
  if (found === undefined) return skip(`no PostgreSQL ${oldest} to 17 of the system is installed`);
  const pool = await poolAt(await start(found));
  const rows = async (sql: string, values: unknown[] = []) =>
    (await pool.query<Record<string, unknown>>(sql, values)).rows;
  expect(await rows(`select current_setting('server_version_num')::int / 10000 as version`)).toEqual([
    { version: found.version },
  ]);

  await migrate(pool);
  expect(await makePartitions(pool)).toBe(0);
  const routes = `[{ match: '*', where: '$.at.datetime() < "2030-01-01".datetime()', to: [billing] }, { match: 'merged', to: [billing] }]`;
  await applyTestConfig({ pool, name: uniqueName() }, yamlOf({ billing: {}, backup: {} }, routes));

  const at = '{"at": "2026-01-01T00:00:00+01"}';
  await pool.query(`insert into outbox.events (type, payload) values ('a', $1), ('b', '{"at": "never"}')`, [
    at,
  ]);
  await pool.query(
    `merge into outbox.events e using (values ('merged')) n(type) on e.type = n.type
     when not matched then insert (type, payload) values (n.type, '{}')`,
  );
  const event = { type: 'c', payloadText: at, dedupKey: 'once' };
  const { id } = await enqueue(pool, event);
  expect(await enqueue(pool, event)).toEqual({ id, inserted: false });
  expect(
    await rows(
      'select count(*)::int as n, bool_and(abs(extract(epoch from outbox.uuid7_time(id) - created_at)) < 1) as timely from outbox.events',
    ),
  ).toEqual([{ n: 4, timely: true }]);
  expect(await rows('select type from outbox.unrouted')).toEqual([{ type: 'b' }]);

  const [batch] = await claimOpenBatches(pool, await soleRelay(pool), ['billing'], ['0'], 1000, {
    rows: 10,
    bytes: 1e6,
  });
  const opened = batch?.opened?.batch;
  if (opened === undefined) throw new Error('nothing was claimed');
  const [first, ...others] = await rowsOfBatch(pool, opened.batchId);
  if (first === undefined) throw new Error('no rows');
  await recordFailures(pool, opened, [failure(first, { park: 'exhausted' })]);
  const summary = await finishAttempt(
    pool,
    opened,
    others.map(({ seq }) => seq),
    { maxSingles: 200, keep: true },
  );
  const [single] = summary?.singles ?? [];
  await prepareRevision(pool, {
    eventId: first.eventId,
    destination: 'billing',
    payload: '1',
    headers: null,
    actor: null,
    reason: null,
  });
  expect(
    await resolve(pool, single?.workflowId ?? '', { action: 'edit', revision: 2 }, 'signal'),
  ).toMatchObject({ outcome: 'done' });
  expect(await rows('select state, revision from outbox.deliveries')).toEqual([
    { state: 'retry', revision: 2 },
  ]);
  expect(await rows('select 1 from outbox.delivered')).toHaveLength(2);
}, 90_000);
