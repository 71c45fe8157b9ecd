import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import { afterAll, test, expect, onTestFinished } from 'vitest';
import { startPostgres, startServers } from '../../src/embedded/index.ts';
import { isAlive, query, runProgram, until } from './support.ts';
import { onlyWithEverything } from '../support/everything.ts';

const timeout = 120_000;

/** One for the whole file: making a cluster costs half a second of processor time. */
const dataDir = mkdtempSync(join(tmpdir(), 'outbox-embedded-shared-'));
chmodSync(dataDir, 0o755);
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

interface Said {
  readonly url: string;
  readonly dataDir: string;
  readonly pids: readonly number[];
}

function program(options: object): string {
  return `
    const servers = await embedded.startServers(${JSON.stringify(options)});
    const { postgres, temporal } = servers;
    say({ url: postgres.url, dataDir: postgres.dataDir, pids: [postgres.pid, temporal.pid] });
    await new Promise(() => setInterval(() => {}, 1000));
  `;
}

async function runServers(
  options: object,
): Promise<Said & { end: (signal: NodeJS.Signals) => Promise<void> }> {
  const { child, said } = await runProgram(program({ headless: true, ...options }));
  const servers = (await said) as Said;
  expect(servers.pids.map(isAlive)).toEqual([true, true]);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await once(child, 'exit');
    await until('both servers are gone', () => !servers.pids.some(isAlive));
  };
  return { ...servers, end };
}

test('kill -9 of the parent ends both servers and keeps the data directory usable', { timeout }, async () => {
  const killed = await runServers({ dataDir });
  await query(killed.url, 'create table if not exists kept as select 42 as answer');
  await killed.end('SIGKILL');
  // A clean shutdown, not a crash: the server removed its own file.
  expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
  const again = await startServers({ dataDir, headless: true });
  onTestFinished(() => again.stop());
  expect(await query(again.postgres.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test(
  'a parent ended by SIGKILL, SIGTERM or Ctrl-C leaves no server and no temporary folder',
  { timeout },
  async (context) => {
    onlyWithEverything(context, 'kills');
    const runs = (['SIGKILL', 'SIGTERM', 'SIGINT'] as const).map(async (signal) => {
      const servers = await runServers({});
      await servers.end(signal);
      await until('its temporary folder is gone', () => !existsSync(dirname(servers.dataDir)));
    });
    await Promise.all(runs);
  },
);

test(
  'starting on the directory of a parent that was killed this moment works',
  { timeout },
  async (context) => {
    onlyWithEverything(context, 'kills');
    const { child, said } = await runProgram(program({ dataDir, headless: true }));
    await said;
    child.kill('SIGKILL');
    await once(child, 'exit');
    const again = await startServers({ dataDir, headless: true });
    onTestFinished(() => again.stop());
    expect(await query(again.postgres.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  },
);

test('when one server cannot start, the other is not left running', { timeout }, async () => {
  const broken = { dataDir, headless: true, postgresSettings: { shared_buffers: 'plenty' } };
  await expect(startServers(broken)).rejects.toMatchObject({ code: 'OUTBOX_SERVER_START' });
  const again = await startServers({ dataDir, headless: true });
  await again.stop();
});

test(
  'a server whose keeper is killed is ended, and what it wrote can be started again',
  { timeout },
  async () => {
    const server = await startPostgres({ dataDir: join(dataDir, 'postgres') });
    onTestFinished(() => server.stop());
    const keeper = Number(
      execFileSync('ps', ['-o', 'ppid=', '-p', String(server.pid)], { encoding: 'utf8' }),
    );
    process.kill(keeper, 'SIGKILL');
    await server.exited;
    await until('the server is gone', () => !isAlive(server.pid));
    const again = await startPostgres({ dataDir: join(dataDir, 'postgres') });
    await again.stop();
  },
);

test('no process shows our environment in its arguments', { timeout }, async () => {
  process.env['OUTBOX_TEST_SECRET'] = 'a-secret-nobody-should-see';
  onTestFinished(() => void delete process.env['OUTBOX_TEST_SECRET']);
  const server = await startPostgres({ dataDir: join(dataDir, 'postgres') });
  onTestFinished(() => server.stop());
  const processes = execFileSync('ps', ['-eo', 'args', '-ww'], { encoding: 'utf8' });
  expect(processes).toContain(server.dataDir);
  expect(processes).not.toContain('a-secret-nobody-should-see');
  expect(processes).not.toContain(new URL(server.url).password);
});
