import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, test } from 'vitest';
import { atEnd, eventually, startReceiver } from '../support/index.ts';
import { folderWith, offline } from './commands.ts';
import { onlyWithEverything } from '../support/everything.ts';

const cli = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

interface Ready {
  readonly ready: true;
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly temporalUi: string;
  readonly dashboard: string;
}

interface Dev {
  readonly ready: Ready;
  stdout(): string;
  /** Ends it by SIGTERM; answers its exit code. */
  end(): Promise<number | null>;
}

async function startDev(
  cwd: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Dev> {
  const child = spawn(process.execPath, [cli, 'dev', '--json', ...args], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const end = async (): Promise<number | null> => {
    child.kill('SIGTERM');
    return ended;
  };
  atEnd(end);
  const begun = eventually(() => expect(said.stdout).toContain('\n'), { timeout: 90_000 });
  const code = await Promise.race([begun.then(() => null), ended]);
  expect(code, said.stderr).toBeNull();
  const ready = JSON.parse(said.stdout.split('\n')[0] ?? '') as Ready;
  return { ready, stdout: () => said.stdout, end };
}

async function query<T>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows as T[];
  } finally {
    await client.end();
  }
}

test(
  'dev says when all is ready, delivers, keeps its data, and ends what it started',
  { timeout: 180_000 },
  async () => {
    const receiver = await startReceiver();
    const cwd = await folderWith({
      'outbox.yaml': `destinations: { billing: { type: http, url: '\${HOOK}' } }\nroutes: [{ match: '*', to: [billing] }]\n`,
    });
    // Settings meant for another Temporal must not reach ours.
    const env = {
      HOOK: receiver.url,
      TEMPORAL_ADDRESS: 'cloud.example:7233',
      TEMPORAL_API_KEY: 'k',
      TEMPORAL_TLS: 'true',
    };
    const first = await startDev(cwd, ['--data', 'data'], env);
    expect(first.ready).toEqual({
      ready: true,
      databaseUrl: expect.stringMatching(/^postgresql:\/\//) as string,
      temporalAddress: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string,
      temporalUi: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as string,
      dashboard: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as string,
    });
    expect((await fetch(first.ready.temporalUi)).status).toBe(200);
    expect((await fetch(`${first.ready.dashboard}/v1/overview`)).status).toBe(200);
    const insert = `insert into outbox.events (type, payload) values ('a.b', '{}') returning id`;
    const [event] = await query<{ id: string }>(first.ready.databaseUrl, insert);
    await eventually(() => expect(receiver.of(event?.id ?? '')).toHaveLength(1));
    expect(await first.end()).toBe(0);
    expect(first.stdout().trim().split('\n')).toHaveLength(1);
    await expect(query(first.ready.databaseUrl, 'select 1')).rejects.toThrow();
    expect(await readdir(join(cwd, 'data'))).toEqual(expect.arrayContaining(['postgres', 'temporal.db']));

    const second = await startDev(cwd, ['--data', 'data'], env);
    expect(await query(second.ready.databaseUrl, 'select id from outbox.events')).toEqual([event]);
    expect(await second.end()).toBe(0);
  },
);

test(
  'dev without a file shows a receiver of its own; a wrong file stops it before anything starts',
  { timeout: 120_000 },
  async (context) => {
    onlyWithEverything(context, 'it starts both servers again');
    const cwd = await folderWith();
    const dev = await startDev(cwd, []);
    const { databaseUrl } = dev.ready;
    await query(databaseUrl, `insert into outbox.events (type, payload) values ('a.b', '{}')`);
    await eventually(async () =>
      expect(await query(databaseUrl, 'select destination from outbox.delivered')).toEqual([
        { destination: 'hello' },
      ]),
    );
    expect(await dev.end()).toBe(0);
    const wrong = await folderWith({ 'outbox.yaml': 'destinations: 5\n' });
    const refused = await offline(['dev', '--data', 'data'], { cwd: wrong });
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(await readdir(wrong)).toEqual(['outbox.yaml']);
  },
);
