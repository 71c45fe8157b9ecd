import { ownDestinationTypes } from '../destinationTypes.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../../activities/index.ts';
import type { ListenAddress } from '../../core/listen.ts';
import type { Environment } from '../../core/secrets.ts';
import { isOutboxError, OutboxError } from '../../errors.ts';
import { armFailpoints } from '../../failpoints.ts';
import { run, type RunOptions, type Running } from '../../run.ts';
import { runSeveral } from '../../several/run.ts';
import { isApplied, readSettings } from '../../storage/configuration.ts';
import { isRefusedLogin } from '../../storage/errors.ts';
import { readConfigFile } from '../configFile.ts';
import { databaseUrl, givenDatabaseUrls, withDatabase } from '../database.ts';
import { listenForInterruption } from '../interruption.ts';
import { createLog } from '../log.ts';
import type { LogLevel } from '../logLevels.ts';
import type { Output } from '../output.ts';
import { keepHeapSmall } from '../smallHeap.ts';
import { routeTemporalLog } from '../temporalRuntime.ts';

export interface ServeOptions {
  readonly config?: string;
  /** Of more than one, a process for all of them. Default: OUTBOX_DATABASE_URL. */
  readonly databaseUrl?: readonly string[];
  /** Milliseconds. */
  readonly wait?: number;
  readonly logLevel: LogLevel;
  /** Undefined: as the configuration says. */
  readonly metricsListen?: ListenAddress | 'off';
  /** Of `run` only. */
  readonly apiListen?: ListenAddress | 'off';
  /** Of `run` only. */
  readonly dashboardListen?: ListenAddress | 'off';
}

export type ServingCommand = 'run' | 'relay' | 'worker';

export const defaultWaitMs = 60_000;

/** `run`, `relay`, `worker`: until SIGTERM, SIGINT, or the worker fails. */
export async function serve(out: Output, command: ServingCommand, options: ServeOptions): Promise<void> {
  keepHeapSmall();
  const databases = databasesOf(options);
  const failpoints = armFailpoints(process.env);
  const log = await createLog(process.stdout, options.logLevel);
  if (failpoints.length > 0)
    log.warn({ failpoints }, 'this process will fail on purpose: OUTBOX_FAILPOINTS is set');
  const interruption = listenForInterruption((why) =>
    log.info({ why }, 'stopping: requests under way end first; a second signal ends at once'),
  );
  routeTemporalLog(log);
  const destinationTypes = await ownDestinationTypes();
  const common = {
    log,
    destinationTypes,
    roles: { relay: command !== 'worker', worker: command !== 'relay' },
    env: databases.env,
  };
  const [url = '', ...others] = databases.urls;
  const start = (): Promise<Running> =>
    others.length > 0
      ? runSeveral({
          ...common,
          databaseUrls: databases.urls,
          metricsListen: listenOf(options.metricsListen) ?? null,
        })
      : run({ ...common, databaseUrl: url, ...ofOneDatabase(command, options) });
  const running = await startPatiently(start, options.wait ?? defaultWaitMs, interruption.signal, log);
  if (running === undefined) return;
  if (others.length === 0) await warnAboutConfig(out, options.config, log, url);
  log.info({ command }, 'ready');
  try {
    await Promise.race([running.finished, interruption.requested]);
  } finally {
    await running.stop();
  }
  log.info({ command }, 'stopped');
}

interface Databases {
  readonly urls: readonly string[];
  /** What configurations may name: of several tenants in one process none gets at another's address. */
  readonly env: Environment;
}

/** @throws OutboxError OUTBOX_USAGE for what several databases cannot share */
function databasesOf(options: ServeOptions): Databases {
  const given = options.databaseUrl ?? [];
  if (given.length === 0) return { urls: [databaseUrl()], env: process.env };
  const { urls, variables } = givenDatabaseUrls(given);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !variables.includes(name)));
  if (urls.length > 1) refuseOfOne(options);
  return { urls, env };
}

function refuseOfOne({ apiListen, dashboardListen }: ServeOptions): void {
  const ofOne = Object.entries({
    '--api-listen': apiListen !== undefined && apiListen !== 'off',
    '--dashboard-listen': dashboardListen !== undefined && dashboardListen !== 'off',
    OUTBOX_API_DATABASE_URL: isSet('OUTBOX_API_DATABASE_URL'),
    OUTBOX_DASHBOARD_DATABASE_URL: isSet('OUTBOX_DASHBOARD_DATABASE_URL'),
  }).flatMap(([name, isGiven]) => (isGiven ? [name] : []));
  if (ofOne.length === 0) return;
  throw new OutboxError('OUTBOX_USAGE', `${ofOne.join(' and ')} with several databases: each serves one`, {
    hint: 'Run temporal-outbox api, or temporal-outbox dashboard, for each database that is to have one.',
  });
}

/** What `run` serves beside delivering; `relay` and `worker` are halves of it, and what serves the API alone is `api`. */
function ofOneDatabase(command: ServingCommand, options: ServeOptions): Partial<RunOptions> {
  const whole = command === 'run';
  return {
    ...databaseOf('OUTBOX_API_DATABASE_URL', 'apiDatabaseUrl'),
    ...databaseOf('OUTBOX_DASHBOARD_DATABASE_URL', 'dashboardDatabaseUrl'),
    ...listening('metricsListen', listenOf(options.metricsListen)),
    ...listening('apiListen', whole ? listenOf(options.apiListen) : null),
    ...listening('dashboardListen', whole ? listenOf(options.dashboardListen) : null),
  };
}

/** Undefined: as the configuration says; null: nowhere. */
function listenOf(given: ListenAddress | 'off' | undefined): ListenAddress | null | undefined {
  return given === 'off' ? null : given;
}

function listening<Key extends string>(
  key: Key,
  listen: ListenAddress | null | undefined,
): { [Each in Key]?: ListenAddress | null } {
  return (listen === undefined ? {} : { [key]: listen }) as { [Each in Key]?: ListenAddress | null };
}

function isSet(name: string): boolean {
  return (process.env[name] ?? '') !== '';
}

/** As a login of its own, or as the one that delivers. */
function databaseOf<Key extends string>(name: string, key: Key): { [Each in Key]?: string } {
  return (isSet(name) ? { [key]: databaseUrl(process.env, name) } : {}) as { [Each in Key]?: string };
}

const delayMs = { first: 500, maximum: 5_000 };

/** In a container the servers may come up after us. Answers undefined when told to stop meanwhile. */
export async function startPatiently<Started>(
  start: () => Promise<Started>,
  waitMs: number,
  interrupted: AbortSignal,
  log: Log,
): Promise<Started | undefined> {
  const deadline = Date.now() + waitMs;
  for (let delay = delayMs.first; ; delay = Math.min(delay * 2, delayMs.maximum)) {
    try {
      return await start();
    } catch (error) {
      if (interrupted.aborted) return undefined;
      const leftMs = deadline - Date.now();
      if (!mayComeUp(error) || leftMs <= 0) throw error;
      log.warn({ error: (error as Error).message, givingUpInMs: leftMs }, 'not reachable yet; trying again');
      await sleep(Math.min(delay, leftMs), undefined, { signal: interrupted }).catch(() => undefined);
      if (interrupted.aborted) return undefined;
    }
  }
}

function mayComeUp(error: unknown): boolean {
  // A wrong password does not come right by waiting.
  if (!isOutboxError(error) || isRefusedLogin(error.cause)) return false;
  return error.code === 'OUTBOX_POSTGRES_UNREACHABLE' || error.code === 'OUTBOX_TEMPORAL_UNREACHABLE';
}

/** The database decides; a file at hand that says something else is a deployment that somebody forgot to migrate. */
async function warnAboutConfig(
  out: Output,
  option: string | undefined,
  log: Log,
  url: string,
): Promise<void> {
  try {
    const file = await readConfigFile(option, out, 'warn');
    await withDatabase(
      async (pool) => {
        const { configRevision } = await readSettings(pool);
        if (configRevision === 0) {
          log.warn({}, 'no configuration is applied, so nothing is routed: temporal-outbox config apply');
        } else if (file !== undefined && !(await isApplied(pool, file.config))) {
          log.warn(
            { file: file.source.path, revision: configRevision },
            'the file differs from what the database holds, which is what counts: temporal-outbox config apply',
          );
        }
      },
      { url },
    );
  } catch (error) {
    log.warn(
      { error: (error as Error).message },
      'the configuration file was not compared with the database',
    );
  }
}
