import { ownDestinationTypes } from '../destinationTypes.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../../activities/index.ts';
import type { ListenAddress } from '../../core/listen.ts';
import { isOutboxError } from '../../errors.ts';
import { armFailpoints } from '../../failpoints.ts';
import { run, type Running } from '../../run.ts';
import { isApplied, readSettings } from '../../storage/configuration.ts';
import { isRefusedLogin } from '../../storage/errors.ts';
import { readConfigFile } from '../configFile.ts';
import { databaseUrl, withDatabase } from '../database.ts';
import { listenForInterruption } from '../interruption.ts';
import { createLog } from '../log.ts';
import type { LogLevel } from '../logLevels.ts';
import type { Output } from '../output.ts';
import { keepHeapSmall } from '../smallHeap.ts';
import { routeTemporalLog } from '../temporalRuntime.ts';

export interface ServeOptions {
  readonly config?: string;
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
  const { metricsListen, apiListen, dashboardListen } = options;
  const url = databaseUrl();
  const failpoints = armFailpoints(process.env);
  const log = await createLog(process.stdout, options.logLevel);
  if (failpoints.length > 0)
    log.warn({ failpoints }, 'this process will fail on purpose: OUTBOX_FAILPOINTS is set');
  const interruption = listenForInterruption((why) =>
    log.info({ why }, 'stopping: requests under way end first; a second signal ends at once'),
  );
  routeTemporalLog(log);
  const destinationTypes = await ownDestinationTypes();
  const start = (): Promise<Running> =>
    run({
      databaseUrl: url,
      ...databaseOf('OUTBOX_API_DATABASE_URL', 'apiDatabaseUrl'),
      ...databaseOf('OUTBOX_DASHBOARD_DATABASE_URL', 'dashboardDatabaseUrl'),
      log,
      destinationTypes,
      roles: { relay: command !== 'worker', worker: command !== 'relay' },
      ...(metricsListen === undefined
        ? {}
        : { metricsListen: metricsListen === 'off' ? null : metricsListen }),
      // `relay` and `worker` are halves of `run`; what serves the API alone is `api`.
      ...(command === 'run' && apiListen === undefined
        ? {}
        : { apiListen: command !== 'run' || apiListen === 'off' ? null : (apiListen ?? null) }),
      ...(command === 'run' && dashboardListen === undefined
        ? {}
        : {
            dashboardListen:
              command !== 'run' || dashboardListen === 'off' ? null : (dashboardListen ?? null),
          }),
    });
  const running = await startPatiently(start, options.wait ?? defaultWaitMs, interruption.signal, log);
  if (running === undefined) return;
  await warnAboutConfig(out, options.config, log);
  log.info({ command }, 'ready');
  try {
    await Promise.race([running.finished, interruption.requested]);
  } finally {
    await running.stop();
  }
  log.info({ command }, 'stopped');
}

/** As a login of its own, or as the one that delivers. */
function databaseOf<Key extends string>(name: string, key: Key): { [Each in Key]?: string } {
  const given = (process.env[name] ?? '') !== '';
  return (given ? { [key]: databaseUrl(process.env, name) } : {}) as { [Each in Key]?: string };
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
async function warnAboutConfig(out: Output, option: string | undefined, log: Log): Promise<void> {
  try {
    const file = await readConfigFile(option, out, 'warn');
    await withDatabase(async (pool) => {
      const { configRevision } = await readSettings(pool);
      if (configRevision === 0) {
        log.warn({}, 'no configuration is applied, so nothing is routed: temporal-outbox config apply');
      } else if (file !== undefined && !(await isApplied(pool, file.config))) {
        log.warn(
          { file: file.source.path, revision: configRevision },
          'the file differs from what the database holds, which is what counts: temporal-outbox config apply',
        );
      }
    });
  } catch (error) {
    log.warn(
      { error: (error as Error).message },
      'the configuration file was not compared with the database',
    );
  }
}
