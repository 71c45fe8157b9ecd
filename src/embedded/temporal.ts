import { setTimeout as sleep } from 'node:timers/promises';
import { environmentWithout, startChild, type KeptChild, type StopStep } from './children.ts';
import { freePort } from './ports.ts';
import { asStartError, startError } from './startError.ts';
import { findTemporalCli } from './temporalCli.ts';
import { holderFile, prepareDataFile, recordHolder, requireUnheld } from './temporalFile.ts';
import { becomesReady, ensureSearchAttributes, type SearchAttributeType } from './temporalReadiness.ts';

export type { SearchAttributeType } from './temporalReadiness.ts';

export interface TemporalOptions {
  /** SQLite file that keeps workflows between starts, created on the first. Default: in memory. */
  readonly dataFile?: string;
  /** Preferred gRPC port on 127.0.0.1; a free one is taken where somebody has it. Default: any free one. */
  readonly port?: number;
  /** Preferred port of the web UI, treated the same way. */
  readonly uiPort?: number;
  /** Namespace that exists when this returns. Default: `default`. */
  readonly namespace?: string;
  readonly searchAttributes?: Readonly<Record<string, SearchAttributeType>>;
  /** Dynamic configuration of the server, e.g. `{ 'frontend.namespaceRPS': 10 }`. */
  readonly dynamicConfig?: Readonly<Record<string, string | number | boolean>>;
  /** No web UI. Default: false. */
  readonly headless?: boolean;
  readonly onProgress?: (line: string) => void;
}

export interface EmbeddedTemporal {
  /** `127.0.0.1:<port>`, for clients and workers. */
  readonly address: string;
  /** null when headless. */
  readonly uiUrl: string | null;
  readonly namespace: string;
  readonly pid: number;
  /** How the server ended, if it did without being asked. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** Stops the server and waits; any number of calls. */
  stop(): Promise<void>;
}

/**
 * A real Temporal development server on 127.0.0.1, found or fetched by {@link findTemporalCli}. It ends when this
 * process ends, however it ends; a `dataFile` survives that.
 *
 * Throws OUTBOX_SERVER_DOWNLOAD where no server binary can be had, OUTBOX_SERVER_START where it does not start.
 */
export async function startTemporal(options: TemporalOptions = {}): Promise<EmbeddedTemporal> {
  const onProgress = options.onProgress ?? (() => undefined);
  const cli = await findTemporalCli({ onProgress });
  try {
    const dataFile =
      options.dataFile === undefined ? {} : { dataFile: await prepareDataFile(options.dataFile) };
    return await startWith(cli.path, { ...options, ...dataFile }, onProgress);
  } catch (error) {
    throw asStartError('The Temporal server', error);
  }
}

async function startWith(
  cli: string,
  options: TemporalOptions,
  onProgress: (line: string) => void,
): Promise<EmbeddedTemporal> {
  const namespace = options.namespace ?? 'default';
  const { child, ports } = await startServer(cli, options, namespace, onProgress);
  try {
    await ensureSearchAttributes(ports.frontend, namespace, options.searchAttributes ?? {}, onProgress);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return {
    address: `127.0.0.1:${ports.frontend}`,
    uiUrl: ports.ui === null ? null : `http://127.0.0.1:${ports.ui}`,
    namespace,
    pid: child.pid,
    exited: child.exited,
    stop: child.stop,
  };
}

interface Ports {
  readonly frontend: number;
  readonly ui: number | null;
}

const startsMax = 12;

/** Tries again where a port was snatched away, or where the data file's last server is still closing it. */
async function startServer(
  cli: string,
  options: TemporalOptions,
  namespace: string,
  onProgress: (line: string) => void,
): Promise<{ child: KeptChild; ports: Ports }> {
  let preferred: { port?: number; uiPort?: number } = options;
  for (let start = 1; ; start += 1) {
    if (options.dataFile !== undefined) await requireUnheld(options.dataFile);
    const ports = await choosePorts(preferred, options.headless ?? false);
    const child = await launch(cli, options, namespace, ports);
    if (await becomesReady(child, ports.frontend, namespace, onProgress)) return { child, ports };
    const output = child.lastLines().join('\n');
    const portTaken = /address already in use|can't bind|can't set .*port/i.test(output);
    const stillClosing = output.includes('database is locked');
    if (start === startsMax || !(portTaken || stillClosing)) {
      throw startError('The Temporal server did not start', child.lastLines());
    }
    if (portTaken) preferred = {};
    else await sleep(400);
  }
}

async function choosePorts(preferred: { port?: number; uiPort?: number }, headless: boolean): Promise<Ports> {
  const frontend = await freePort(preferred.port);
  if (headless) return { frontend, ui: null };
  let ui = await freePort(preferred.uiPort);
  while (ui === frontend) ui = await freePort();
  return { frontend, ui };
}

/** The server needs about a second to close its SQLite file in order. */
const stopSteps: readonly StopStep[] = [
  { signal: 'SIGTERM', afterMs: 0 },
  { signal: 'SIGKILL', afterMs: 8_000 },
];

/** Nothing in memory is worth that second. */
const quickStop: readonly StopStep[] = [{ signal: 'SIGKILL', afterMs: 0 }];

async function launch(
  cli: string,
  options: TemporalOptions,
  namespace: string,
  ports: Ports,
): Promise<KeptChild> {
  const child = await startChild({
    command: cli,
    args: serverArguments(options, namespace, ports),
    cwd: '/',
    // TEMPORAL_* is meant for clients; a profile in it would redirect or break the server's own start.
    env: environmentWithout(['TEMPORAL_']),
    user: null,
    stopSteps: options.dataFile === undefined ? quickStop : stopSteps,
    remove: options.dataFile === undefined ? [] : [holderFile(options.dataFile)],
  });
  if (options.dataFile === undefined) return child;
  try {
    await recordHolder(options.dataFile, child.pid);
    return child;
  } catch (error) {
    await child.stop();
    throw error;
  }
}

function serverArguments(options: TemporalOptions, namespace: string, ports: Ports): string[] {
  const args = ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(ports.frontend)];
  args.push('--log-level', 'warn', '--color', 'never');
  if (ports.ui === null) args.push('--headless');
  else args.push('--ui-port', String(ports.ui));
  if (options.dataFile !== undefined) args.push('--db-filename', options.dataFile);
  if (namespace !== 'default') args.push('--namespace', namespace);
  for (const [name, type] of Object.entries(options.searchAttributes ?? {})) {
    args.push('--search-attribute', `${name}=${type}`);
  }
  for (const [name, value] of Object.entries(options.dynamicConfig ?? {})) {
    args.push('--dynamic-config-value', `${name}=${JSON.stringify(value)}`);
  }
  return args;
}
