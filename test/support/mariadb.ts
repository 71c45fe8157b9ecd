/** A real MariaDB, of the machine's own programs, in a directory of its own. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../src/embedded/ports.ts';
import { createPool, type Pool } from 'mysql2/promise';
import { atEnd } from './cleanup.ts';
import { eventually } from './eventually.ts';
import { requires } from './requires.ts';

export interface TestMariadb {
  /** `mysql://root@127.0.0.1:<port>/shop` */
  readonly url: string;
  readonly pool: Pool;
}

/** With an empty database `shop`; stopped, and its data removed, when the test ends. Skips the test where it is not installed. */
export async function startMariadb(): Promise<TestMariadb> {
  const { install, server } = requires.mariadb();
  const directory = await mkdtemp(join(tmpdir(), 'outbox-mariadb-'));
  atEnd(() => rm(directory, { recursive: true, force: true }));
  const data = join(directory, 'data');
  const common = ['--no-defaults', `--datadir=${data}`, `--user=${userInfo().username}`];
  await promisify(execFile)(install, [
    ...common,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ]);
  const port = await freePort();
  const child = spawn(
    server,
    [
      ...common,
      ...[`--port=${port}`, '--bind-address=127.0.0.1', `--socket=${join(directory, 'socket')}`],
      // Nothing here must survive a power failure.
      ...['--innodb-flush-log-at-trx-commit=0', '--innodb-buffer-pool-size=64M', '--skip-log-bin'],
    ],
    { stdio: 'ignore' },
  );
  const ended = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  atEnd(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const address = `mysql://root@127.0.0.1:${port}`;
  const admin = createPool(`${address}/`);
  await eventually(() => admin.query('create database if not exists shop'), {
    timeout: 60_000,
    interval: 200,
  });
  await admin.end();
  const pool = createPool({ uri: `${address}/shop`, connectionLimit: 20 });
  atEnd(() => pool.end());
  return { url: `${address}/shop`, pool };
}
