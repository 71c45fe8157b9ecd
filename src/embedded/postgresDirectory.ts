import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, mkdtemp, readFile, readdir, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { OutboxError } from '../errors.ts';
import { environmentWithout, startChild } from './children.ts';
import { exists, ignoreCode, type ServerUser } from './postgresBinaries.ts';
import { commandLineOf, isAlive } from './processes.ts';
import { startError } from './startError.ts';

const execute = promisify(execFile);

/** Holds the superuser's password, readable by the server's user only. PostgreSQL ignores files it does not know. */
const passwordFile = 'outbox-password';

export interface DirectoryOptions {
  readonly dataDir: string;
  readonly initdb: string;
  readonly user: ServerUser | null;
  /** Wait for the disk when the directory is made; not needed for one that is thrown away. */
  readonly sync: boolean;
  readonly onProgress: (line: string) => void;
}

/** Makes the data directory if it is not there yet, and gives the superuser's password. */
export async function ensureDataDirectory(options: DirectoryOptions): Promise<string> {
  if (!(await exists(join(options.dataDir, 'PG_VERSION')))) await createDataDirectory(options);
  return readFile(join(options.dataDir, passwordFile), 'utf8').catch((cause: unknown) => {
    const message = `${options.dataDir} holds a PostgreSQL cluster that temporal-outbox did not make.`;
    const hint =
      'Choose another --data directory, or start that cluster yourself and set OUTBOX_DATABASE_URL.';
    throw new OutboxError('OUTBOX_SERVER_START', message, { hint, cause });
  });
}

/**
 * initdb runs in a directory beside the final one, which gets its name by a rename at the end. So the final name
 * never holds half a cluster, whenever we are killed, and what a killed one left is recognised and removed.
 */
async function createDataDirectory(options: DirectoryOptions): Promise<void> {
  const { dataDir, user } = options;
  await refuseForeignContent(dataDir);
  await mkdir(dirname(dataDir), { recursive: true });
  await removeUnfinished(dataDir);
  const work = await mkdtemp(`${dataDir}${unfinishedMark}${process.pid}-`);
  try {
    if (user !== null) await chown(work, user.uid, user.gid);
    await requireReachable(work, user);
    await runInitdb(work, options);
    // Somebody else may have been first; then theirs is the one to use.
    await rename(join(work, 'data'), dataDir).catch(ignoreCode('ENOTEMPTY', 'EEXIST'));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const unfinishedMark = '.initializing-';

async function removeUnfinished(dataDir: string): Promise<void> {
  const mark = basename(dataDir) + unfinishedMark;
  for (const name of await readdir(dirname(dataDir))) {
    if (!name.startsWith(mark)) continue;
    const pid = Number.parseInt(name.slice(mark.length), 10);
    if (pid !== process.pid && isAlive(pid)) continue;
    // Its initdb, orphaned, may be writing for a moment yet: a folder that was emptied is not empty then.
    await rm(join(dirname(dataDir), name), { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

async function refuseForeignContent(dataDir: string): Promise<void> {
  const names = await readdir(dataDir).catch(() => []);
  if (names.length === 0) return;
  throw new OutboxError(
    'OUTBOX_SERVER_START',
    `${dataDir} is not empty and holds no PostgreSQL cluster (it has ${names.slice(0, 3).join(', ')}).`,
    { hint: 'Choose an empty or a new directory, or remove this one if nothing in it is needed.' },
  );
}

async function requireReachable(directory: string, user: ServerUser | null): Promise<void> {
  if (user === null) return;
  // Asked of the operating system as that user: permissions of every folder above count too.
  const reached = execute('test', ['-w', directory], { uid: user.uid, gid: user.gid, cwd: '/' });
  await reached.catch((cause: unknown) => {
    const message = `PostgreSQL does not run as root; it runs as user ${user.name} here, who cannot enter ${dirname(directory)}.`;
    const hint =
      "Choose a data directory (or TMPDIR) outside root's home, such as /var/tmp/outbox, or do not run as root.";
    throw new OutboxError('OUTBOX_SERVER_START', message, { hint, cause });
  });
}

async function runInitdb(work: string, options: DirectoryOptions): Promise<void> {
  options.onProgress('Creating a PostgreSQL data directory');
  const password = randomBytes(18).toString('base64url');
  const passwordPath = join(work, 'password');
  await writeFile(passwordPath, password, { mode: 0o600 });
  if (options.user !== null) await chown(passwordPath, options.user.uid, options.user.gid);
  const child = await startChild({
    command: options.initdb,
    args: initdbArguments(join(work, 'data'), passwordPath, options.sync),
    cwd: work,
    env: postgresEnvironment(),
    user: options.user,
    stopSteps: [
      { signal: 'SIGTERM', afterMs: 0 },
      { signal: 'SIGKILL', afterMs: 2_000 },
    ],
    remove: [work],
    removeOnlyWhenStopped: true,
  });
  const exit = await child.exited;
  if (exit.code !== 0) throw startError('initdb failed', child.lastLines());
  await rename(passwordPath, join(work, 'data', passwordFile));
}

function initdbArguments(dataDir: string, passwordPath: string, sync: boolean): string[] {
  return [
    `--pgdata=${dataDir}`,
    '--username=postgres',
    `--pwfile=${passwordPath}`,
    // Loopback is shared by everyone on the machine, so even there a password is asked for.
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // Sorts by code point and knows every script's upper and lower case, the same on every operating system.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(sync ? [] : ['--no-sync']),
  ];
}

/** Without the PG* variables of a developer's shell; LC_ALL because macOS' postgres refuses to start without one. */
export function postgresEnvironment(): Record<string, string> {
  return { ...environmentWithout(['PG', 'LC_', 'LANG']), LC_ALL: 'C' };
}

/** What a running server writes about itself into its data directory. */
interface ServerFile {
  readonly pid: number;
  readonly port: number;
  readonly status: string;
}

export async function readServerFile(dataDir: string): Promise<ServerFile | null> {
  const text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => null);
  if (text === null) return null;
  const lines = text.split('\n').map((line) => line.trim());
  return { pid: Number(lines[0]), port: Number(lines[3]), status: lines[7] ?? '' };
}

/** How long a server that is stopping already may take to get out of the way. */
const stoppingMsMax = 20_000;

/**
 * Deals with a `postmaster.pid` found before the start: waits for a server that is stopping, refuses where one is
 * running, and removes the file where its process id now belongs to some other program (likely in containers,
 * where ids are few; PostgreSQL would refuse to start). One whose process is gone is left to PostgreSQL.
 */
export async function clearServerFile(dataDir: string): Promise<void> {
  const deadline = Date.now() + stoppingMsMax;
  for (;;) {
    const file = await readServerFile(dataDir);
    if (file === null || !isAlive(file.pid)) return;
    if (!(await isServerOf(file.pid, dataDir))) {
      await rm(join(dataDir, 'postmaster.pid'), { force: true });
      return;
    }
    if (file.status !== 'stopping' || Date.now() > deadline) throw runningError(dataDir, file);
    await sleep(100);
  }
}

function runningError(dataDir: string, file: ServerFile): OutboxError {
  const message = `A PostgreSQL server (process ${file.pid}, port ${file.port}) is running on ${dataDir} already.`;
  const hint = `Stop it first (\`kill -INT ${file.pid}\`), or choose another --data directory.`;
  return new OutboxError('OUTBOX_SERVER_START', message, { hint });
}

async function isServerOf(pid: number, dataDir: string): Promise<boolean> {
  // A PostgreSQL server's working directory is its data directory.
  const directory = await readlink(`/proc/${pid}/cwd`).catch(() => null);
  if (directory !== null) return directory === dataDir;
  return (await commandLineOf(pid)).includes('postgres');
}
