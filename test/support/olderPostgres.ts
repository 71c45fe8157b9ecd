/** A server older than the embedded 18: the same SQL must run there. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/embedded/ports.ts';
import { restoreSymlinks } from '../../src/embedded/postgresBinaries.ts';
import { connect, type Pool } from '../../src/storage/connect.ts';
import { atEnd } from './cleanup.ts';
import { eventually } from './eventually.ts';
import { requires } from './requires.ts';

export interface OlderPostgres {
  /** Of an empty database; ended with the test. */
  readonly pool: Pool;
  /** Major version. */
  readonly version: number;
}

/** The oldest that we support and the machine has; gone when the test ends. Skips the test where there is none. */
export async function startOlderPostgres(): Promise<OlderPostgres> {
  const { bin, version } = requires.olderPostgres();
  const pool = connect(await start(bin));
  atEnd(() => pool.end());
  await eventually(() => pool.query('select 1'));
  return { pool, version };
}

/** Of one major version, as npm has it. */
export async function startPostgresOf(major: number): Promise<OlderPostgres> {
  const native = requires.postgresOf(major);
  await restoreSymlinks(native);
  const pool = connect(await start(join(native, 'bin')));
  atEnd(() => pool.end());
  await eventually(() => pool.query('select 1'));
  return { pool, version: major };
}

/** Root may not run it: the user of the package does. */
function serverUser(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const line = execFileSync('getent', ['passwd', 'postgres'], { encoding: 'utf8' }).split(':');
  return { uid: Number(line[2]), gid: Number(line[3]) };
}

async function start(bin: string): Promise<string> {
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
  return `postgresql://postgres@127.0.0.1:${port}/postgres`;
}
