import type { Log } from '../../../activities/index.ts';
import type { ListenAddress } from '../../core/listen.ts';
import { apiGroup } from '../../http/api.ts';
import { apiAt } from '../../http/apiConfig.ts';
import { startHttp, type HttpServers } from '../../http/server.ts';
import { readApiConfig } from '../../storage/configuration.ts';
import { connect } from '../../storage/connect.ts';
import { describeDatabase, explainDatabaseError } from '../../storage/errors.ts';
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

async function serve(url: string, { listen }: ApiOptions, log: Log): Promise<HttpServers> {
  const pool = connect(url, {
    applicationName: 'temporal-outbox-api',
    max: 20,
    onIdleError: (error) =>
      log.warn({ error: error.message }, 'a PostgreSQL connection broke; it is replaced'),
  });
  try {
    await requireSchema(pool);
    const config = apiAt(await readApiConfig(pool), listen, process.env);
    const served = await startHttp([apiGroup({ pool, config, env: process.env, log, health: true })]);
    return { ...served, close: () => served.close().finally(() => pool.end()) };
  } catch (error) {
    await pool.end();
    throw explainDatabaseError(error, describeDatabase(url));
  }
}
