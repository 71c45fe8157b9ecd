import type { Log } from '../../../activities/index.ts';
import type { ListenAddress } from '../../core/listen.ts';
import { connectedLater } from '../../dashboard/operating.ts';
import { dashboardAt, dashboardConnections, dashboardPatienceMs } from '../../dashboard/config.ts';
import type { HttpServers } from '../../http/server.ts';
import { serveHttp } from '../../serving.ts';
import { readDashboardConfig } from '../../storage/configuration.ts';
import { connect } from '../../storage/connect.ts';
import { describeDatabase } from '../../storage/databaseUrl.ts';
import { explainDatabaseError } from '../../storage/errors.ts';
import { requireSchema } from '../../storage/migrate.ts';
import { connectTemporal } from '../../temporal/connect.ts';
import { databaseUrl } from '../database.ts';
import { listenForInterruption } from '../interruption.ts';
import { createLog } from '../log.ts';
import type { LogLevel } from '../logLevels.ts';
import { routeTemporalLog } from '../temporalRuntime.ts';
import { defaultWaitMs, startPatiently } from './run.ts';

export interface DashboardOptions {
  readonly listen?: ListenAddress;
  /** Milliseconds. */
  readonly wait?: number;
  readonly logLevel: LogLevel;
}

/** `dashboard`: the dashboard alone, until SIGTERM or SIGINT. Needs PostgreSQL; Temporal when a command is sent. */
export async function dashboard(options: DashboardOptions): Promise<void> {
  const url = databaseUrl();
  const log = await createLog(process.stdout, options.logLevel);
  const interruption = listenForInterruption((why) => log.info({ why }, 'stopping'));
  routeTemporalLog(log);
  const start = (): Promise<HttpServers> => serve(url, options.listen, log);
  const served = await startPatiently(start, options.wait ?? defaultWaitMs, interruption.signal, log);
  if (served === undefined) return;
  log.info({ endpoints: served.endpoints }, 'ready');
  await interruption.requested;
  await served.close();
  log.info({}, 'stopped');
}

async function serve(url: string, listen: ListenAddress | undefined, log: Log): Promise<HttpServers> {
  const pool = connect(url, {
    applicationName: 'temporal-outbox-dashboard',
    max: dashboardConnections.alone,
    patienceMs: dashboardPatienceMs,
    onIdleError: (error) =>
      log.warn({ error: error.message }, 'a PostgreSQL connection broke; it is replaced'),
  });
  const temporal = connectedLater(() => connectTemporal({}, log));
  const { env } = process;
  try {
    await requireSchema(pool);
    const configured = await readDashboardConfig(pool);
    const config = dashboardAt(configured, listen ?? configured?.listen ?? usual);
    const served = await serveHttp({
      openApiPool: () => pool,
      ...{ log, env },
      api: null,
      metricsListen: null,
      observed: {
        databaseUrl: url,
        ...{ temporal: undefined, tally: undefined, relay: undefined, worker: undefined },
      },
      dashboard:
        config === null
          ? undefined
          : {
              config,
              openPool: () => pool,
              temporal: temporal.get,
              namespace: env['TEMPORAL_NAMESPACE'] || 'default',
            },
    });
    return { ...served, close: () => served.close().finally(() => temporal.close()) };
  } catch (error) {
    await temporal.close();
    if (!pool.ended) await pool.end();
    throw explainDatabaseError(error, describeDatabase(url));
  }
}

const usual = { host: '127.0.0.1', port: 8800 };
