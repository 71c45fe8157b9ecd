import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, test, expect, onTestFinished } from 'vitest';
import { startPostgres, type EmbeddedPostgres, type PostgresOptions } from '../../src/embedded/postgres.ts';
import { isAlive, occupyPort, query, runProgram, temporaryFolder, until } from './support.ts';
import { onlyWithEverything } from '../support/everything.ts';

const timeout = 60_000;

/** One cluster for the tests that only need some cluster: making one costs half a second of processor time. */
const shared = mkdtempSync(join(tmpdir(), 'outbox-embedded-shared-'));
chmodSync(shared, 0o755);
const sharedDir = join(shared, 'postgres');
afterAll(() => rmSync(shared, { recursive: true, force: true }));

async function start(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const server = await startPostgres({ settings: { fsync: 'off' }, ...options });
  onTestFinished(() => server.stop());
  return server;
}

test(
  'a temporary server answers on loopback as UTF8 with 200 connections, and leaves nothing behind',
  { timeout },
  async () => {
    const server = await start();
    const rows = await query(
      server.url,
      `select current_setting('max_connections') connections, current_setting('server_encoding') encoding,
            current_setting('listen_addresses') addresses, current_setting('unix_socket_directories') sockets,
            datlocprovider provider, upper('äß') upper
       from pg_database where datname = current_database()`,
    );
    expect(rows).toEqual([
      {
        connections: '200',
        encoding: 'UTF8',
        addresses: '127.0.0.1',
        sockets: '',
        provider: 'b',
        upper: 'Äß',
      },
    ]);
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
    expect(isAlive(server.pid)).toBe(false);
    expect(existsSync(dirname(server.dataDir))).toBe(false);
  },
);

test('the password is asked for, on loopback too', { timeout }, async () => {
  const server = await start({ dataDir: sharedDir });
  const wrong = server.url.replace(/postgres:[^@]+@/, 'postgres:guess@');
  await expect(query(wrong, 'select 1')).rejects.toThrow('password authentication failed');
});

test(
  'a data directory keeps its rows and its password; the second start makes no new one',
  { timeout },
  async () => {
    const dataDir = join(await temporaryFolder(), 'made', 'postgres');
    const progress: string[] = [];
    const onProgress = (line: string): void => void progress.push(line);
    const first = await start({ dataDir, onProgress });
    await query(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    const second = await start({ dataDir, onProgress });
    expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
    expect(progress).toEqual(['Creating a PostgreSQL data directory']);
  },
);

test('a taken port is exchanged for a free one, a free one is used', { timeout }, async () => {
  const taken = await occupyPort();
  const first = await start({ dataDir: sharedDir, port: taken });
  expect(first.port).not.toBe(taken);
  await first.stop();
  const second = await start({ dataDir: sharedDir, port: first.port });
  expect(second.port).toBe(first.port);
});

test('a second server on the same directory is refused while the first lives', { timeout }, async () => {
  const dataDir = sharedDir;
  const first = await start({ dataDir });
  await expect(start({ dataDir })).rejects.toMatchObject({
    code: 'OUTBOX_SERVER_START',
    message: expect.stringContaining(`process ${first.pid}, port ${first.port}) is running`) as string,
  });
  expect(await query(first.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('after kill -9 of the server the directory is usable again', { timeout }, async () => {
  const dataDir = sharedDir;
  const first = await start({ dataDir });
  await query(first.url, 'create table killed as select 42 as answer');
  process.kill(first.pid, 'SIGKILL');
  expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' });
  const second = await start({ dataDir });
  expect(await query(second.url, 'select answer from killed')).toEqual([{ answer: 42 }]);
});

test('a postmaster.pid whose id is now another program’s does not stop the start', { timeout }, async () => {
  const dataDir = sharedDir;
  await (await start({ dataDir })).stop();
  // PostgreSQL takes this process, alive and its own parent's user, for a running server where users are the same.
  await writeFile(
    join(dataDir, 'postmaster.pid'),
    `${process.pid}\n${dataDir}\n1\n5432\n\n127.0.0.1\n\nready\n`,
  );
  const second = await start({ dataDir });
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('an initdb that was killed half-way is done again', { timeout }, async (context) => {
  onlyWithEverything(context, 'kills');
  const dataDir = join(await temporaryFolder(), 'postgres');
  const program = `embedded.startPostgres({ dataDir: ${JSON.stringify(dataDir)}, onProgress: say });`;
  const { child, said } = await runProgram(program);
  expect(await said).toBe('Creating a PostgreSQL data directory');
  const unfinished = async (): Promise<string[]> => readdir(dirname(dataDir));
  await until('initdb is at work', async () => {
    const [folder] = await unfinished();
    return folder !== undefined && existsSync(join(dirname(dataDir), folder, 'data', 'PG_VERSION'));
  });
  child.kill('SIGKILL');
  await once(child, 'exit');
  // What a keeper killed as well would leave: the folder of a process that is gone.
  await mkdir(`${dataDir}.initializing-${child.pid}-x/data`, { recursive: true });
  const server = await start({ dataDir });
  expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await until('the remains are gone', async () => (await unfinished()).join() === 'postgres');
});

test('a directory with other content is refused and left alone', { timeout }, async () => {
  const dataDir = await temporaryFolder();
  await writeFile(join(dataDir, 'holiday.jpg'), 'mine');
  await expect(start({ dataDir })).rejects.toMatchObject({
    code: 'OUTBOX_SERVER_START',
    message: expect.stringContaining('holiday.jpg') as string,
  });
  expect(await readFile(join(dataDir, 'holiday.jpg'), 'utf8')).toBe('mine');
});

test('a server that refuses its settings is an error with its last words', { timeout }, async () => {
  await expect(
    startPostgres({ dataDir: sharedDir, settings: { shared_buffers: 'plenty' } }),
  ).rejects.toMatchObject({
    code: 'OUTBOX_SERVER_START',
    message: expect.stringContaining('invalid value for parameter "shared_buffers"') as string,
  });
});

test.runIf(process.getuid?.() === 0)(
  'as root, a directory the server’s user cannot enter is an error that says so',
  { timeout },
  async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'closed'), { mode: 0o700 });
    await expect(start({ dataDir: join(folder, 'closed', 'postgres') })).rejects.toMatchObject({
      code: 'OUTBOX_SERVER_START',
      message: expect.stringContaining('does not run as root') as string,
    });
    expect(await readdir(join(folder, 'closed'))).toEqual([]);
  },
);

test('a directory reached through a symbolic link is the same directory', { timeout }, async () => {
  const link = join(await temporaryFolder(), 'link');
  await symlink(shared, link);
  const first = await start({ dataDir: join(link, 'postgres') });
  await expect(start({ dataDir: sharedDir })).rejects.toThrow(`process ${first.pid}`);
});
