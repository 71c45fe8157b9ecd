/** Several databases in one process, a tenant each: what befalls one is no matter of the others. */
import type { Log } from '../../activities/index.ts';
import type { ListenAddress } from '../core/listen.ts';
import type { Environment } from '../core/secrets.ts';
import { OutboxError } from '../errors.ts';
import type { HttpServers } from '../http/server.ts';
import { run, type RunOptions, type Running } from '../run.ts';
import { describeDatabase } from '../storage/databaseUrl.ts';
import { openTelemetry } from '../tracing/openTelemetry.ts';
import { version } from '../version.ts';
import { Member } from './member.ts';

export interface RunSeveralOptions extends Pick<
  RunOptions,
  'temporal' | 'roles' | 'pollMs' | 'checkBacks' | 'destinationTypes' | 'encryption' | 'shutdownGraceMs'
> {
  readonly log: Log;
  /** At least one, each another database. */
  readonly databaseUrls: readonly string[];
  /** What the configuration of any of them may name: no address or credential of another belongs there. */
  readonly env: Environment;
  /** Where /metrics, /healthz and /readyz of all of them are served. Default: nowhere. */
  readonly metricsListen?: ListenAddress | null;
}

/**
 * Starts relay and worker for each, with pools and a Temporal connection of its own. One that does not start, or whose worker fails, is tried
 * again with growing waits of up to a minute while the others go on. Neither API nor dashboard is served: they are of one database.
 * @throws OutboxError what kept the first of them from starting, when not one does; OUTBOX_USAGE when one is named twice
 */
export async function runSeveral(options: RunSeveralOptions): Promise<Running> {
  const members = membersOf(options);
  const served = await serve(members, options);
  const end = async (): Promise<void> => {
    try {
      await Promise.all(members.map((member) => member.stop()));
    } finally {
      await served.close();
    }
  };
  options.log.info(
    {
      version: version(),
      node: process.versions.node,
      databases: members.map(({ database }) => database),
      endpoints: served.endpoints,
    },
    'starting for several databases',
  );
  const starts = await Promise.allSettled(members.map((member) => member.begin()));
  if (starts.every(({ status }) => status === 'rejected')) {
    await end();
    throw starts.flatMap((start) => (start.status === 'rejected' ? [start.reason as unknown] : []))[0];
  }
  let settle: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (settle = resolve));
  let stopping: Promise<void> | undefined;
  return {
    endpoints: served.endpoints,
    finished,
    stop: () => (stopping ??= end().finally(() => settle())),
  };
}

function membersOf({ databaseUrls, metricsListen: _, log, ...common }: RunSeveralOptions): Member[] {
  const names = databaseUrls.map(describeDatabase);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new OutboxError('OUTBOX_USAGE', `${twice} is named twice`, {
      hint: 'Name each database once: more processes share the work of one, not more of its connections in one process.',
    });
  return databaseUrls.map((databaseUrl, index) => {
    const database = names[index] ?? '';
    const own = logOf(log, database);
    return new Member(
      database,
      (watchedBy) =>
        run({ ...common, databaseUrl, log: own, watchedBy, apiListen: null, dashboardListen: null }),
      own,
    );
  });
}

/** Each line says which database it is about. */
function logOf(log: Log, database: string): Log {
  const at =
    (level: LogLevel): Log['info'] =>
    (fields, message) =>
      log[level]({ database, ...fields }, message);
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    ...(log.enabled === undefined ? {} : { enabled: (level: LogLevel) => log.enabled?.(level) === true }),
  };
}

type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Before the first of them starts: a process that waits for its databases says so. */
async function serve(
  members: readonly Member[],
  { metricsListen = null, env }: RunSeveralOptions,
): Promise<HttpServers> {
  if (metricsListen === null && openTelemetry('metrics') === null)
    return { endpoints: {}, close: () => Promise.resolve() };
  const { observeSeveral } = await import('./observing.ts');
  const observing = observeSeveral(members, metricsListen, env);
  if (observing.group === null) return { endpoints: {}, close: () => observing.close() };
  const { startHttp } = await import('../http/server.ts');
  try {
    const http = await startHttp([observing.group]);
    return { endpoints: http.endpoints, close: () => http.close().finally(() => observing.close()) };
  } catch (error) {
    await observing.close();
    throw error;
  }
}
