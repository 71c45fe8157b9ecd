import type { Log } from '../../../activities/index.ts';
import type { ListenAddress } from '../../core/listen.ts';
import { apiAt } from '../../http/apiConfig.ts';
import { apiConnections, apiPatienceMs } from '../../http/limits.ts';
import type { HttpServers } from '../../http/server.ts';
import { serveHttp } from '../../serving.ts';
import { readApiConfig } from '../../storage/configuration.ts';
import { connect } from '../../storage/connect.ts';
import { describeDatabase } from '../../storage/databaseUrl.ts';
import { explainDatabaseError } from '../../storage/errors.ts';
import { requireSchema } from '../../storage/migrate.ts';
import { databaseUrl } from '../database.ts';
import { listenForInterruption } from '../interruption.ts';
import { createLog } from '../log.ts';
import type { LogLevel } from '../logLevels.ts';
import { defaultWaitMs, startPatiently } from './run.ts';

export interface ApiOptions {
  readonly listen?: ListenAddress;
  /** Milliseconds. */
  readonly wait?: number;
  readonly logLevel: LogLevel;
  /** Default off: `metrics.listen` of the configuration is for those who deliver, perhaps on the same machine. */
  readonly metricsListen?: ListenAddress | 'off';
}

/** `api`: the HTTP API alone, until SIGTERM or SIGINT. Needs PostgreSQL and no Temporal. */
export async function api(options: ApiOptions): Promise<void> {
  const url = databaseUrl();
  const log = await createLog(process.stdout, options.logLevel);
  const interruption = listenForInterruption((why) =>
    log.info({ why }, 'stopping: requests under way end first'),
  );
  const start = (): Promise<HttpServers> => serve(url, options, log);
  const served = await startPatiently(start, options.wait ?? defaultWaitMs, interruption.signal, log);
  if (served === undefined) return;
  log.info({ endpoints: served.endpoints }, 'ready');
  await interruption.requested;
  await served.close();
  log.info({}, 'stopped');
}

async function serve(
  url: string,
  { listen, metricsListen = 'off' }: ApiOptions,
  log: Log,
): Promise<HttpServers> {
  const pool = connect(url, {
    applicationName: 'temporal-outbox-api',
    max: apiConnections.alone,
    patienceMs: apiPatienceMs,
    onIdleError: (error) =>
      log.warn({ error: error.message }, 'a PostgreSQL connection broke; it is replaced'),
  });
  try {
    await requireSchema(pool);
    const { env } = process;
    const served = await serveHttp({
      openApiPool: () => pool,
      ...{ log, env },
      api: apiAt(await readApiConfig(pool), listen, env),
      metricsListen: metricsListen === 'off' ? null : metricsListen,
      observed: {
        databaseUrl: url,
        ...{ temporal: undefined, tally: undefined, relay: undefined, worker: undefined },
      },
    });
    return { ...served, close: () => served.close() };
  } catch (error) {
    if (!pool.ended) await pool.end();
    throw explainDatabaseError(error, describeDatabase(url));
  }
}
