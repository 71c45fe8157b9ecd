/** pgbouncer in transaction mode between some of ours and PostgreSQL: each statement may come to another session. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { accessSync, chmodSync, constants, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { answers } from '../../src/embedded/ports.ts';
import { atEnd } from '../support/index.ts';
import { steadyPort } from './processes.ts';

export interface Pooler {
  /** host:port */
  readonly address: string;
  restart(signal: 'SIGKILL' | 'SIGINT', pauseMs: number): Promise<void>;
}

/** Sessions to PostgreSQL that all its clients share: fewer than they would have of their own. */
const sessions = 16;
const startMs = 10_000;

/** Undefined where there is no pgbouncer. `databaseUrl` is what it connects with. */
export async function startPooler(directory: string, databaseUrl: string): Promise<Pooler | undefined> {
  const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'].find(isThere);
  if (program === undefined) return undefined;
  const { hostname, port: to, username, password } = new URL(databaseUrl);
  const port = await steadyPort();
  const config = join(directory, 'pgbouncer.ini');
  const users = join(directory, 'pgbouncer-users.txt');
  const quoted = (text: string): string => `"${decodeURIComponent(text).replaceAll('"', '""')}"`;
  writeFileSync(users, `${quoted(username)} ${quoted(password)}\n`);
  writeFileSync(
    config,
    [
      '[databases]',
      `* = host=${hostname} port=${to}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      // What PostgreSQL asks of it, it finds in the file; of its own clients it wants the name alone.
      'auth_type = trust',
      `auth_file = ${users}`,
      'pool_mode = transaction',
      `default_pool_size = ${sessions}`,
      'max_client_conn = 500',
      'ignore_startup_parameters = extra_float_digits',
      'server_login_retry = 1',
      'query_wait_timeout = 30',
      '',
    ].join('\n'),
  );
  for (const file of [config, users]) chmodSync(file, 0o644);
  const log = join(directory, 'logs', 'pgbouncer.log');
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    const out = openSync(log, 'a');
    // It refuses to be root.
    const nobody = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {};
    child = spawn(program, [config], { stdio: ['ignore', out, out], ...nobody });
    for (const deadline = Date.now() + startMs; !(await answers(port)); await sleep(50))
      if (Date.now() > deadline) throw new Error(`pgbouncer does not answer; see ${log}`);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ending = child;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const ended = new Promise((resolve) => ending.once('exit', resolve));
    ending.kill(signal);
    await ended;
  };
  await start();
  atEnd(() => end('SIGKILL'));
  return {
    address: `127.0.0.1:${port}`,
    restart: async (signal, pauseMs) => {
      await end(signal);
      await sleep(pauseMs);
      await start();
    },
  };
}

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function idOf(option: '-u' | '-g'): number {
  return Number(execFileSync('id', [option, 'nobody'], { encoding: 'utf8' }));
}
