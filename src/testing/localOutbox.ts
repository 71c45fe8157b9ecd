import type { Log } from '../../activities/index.ts';
import type { OutboxConfig } from '../core/destination.ts';
import type { Environment } from '../core/secrets.ts';
import type { DestinationType } from '../destination/type.ts';
import { startServers, type Servers } from '../embedded/index.ts';
import { freePort } from '../embedded/ports.ts';
import { OutboxError } from '../errors.ts';
import { run, type Running } from '../run.ts';
import { applyConfig } from '../storage/configuration.ts';
import { connect, type Pool } from '../storage/connect.ts';
import { explainDatabaseError } from '../storage/errors.ts';
import { migrate } from '../storage/migrate.ts';

export interface LocalOutboxOptions {
  readonly config: OutboxConfig;
  /** The configuration's text, kept with its revision. Default: the normalised configuration. */
  readonly source?: string;
  /** Keeps `postgres/` and `temporal.db` between starts. Without it everything is temporary. */
  readonly dataDir?: string;
  /** Done when the schema is there and before the configuration is applied; what it throws ends the start. */
  readonly beforeConfig?: (db: Pool) => Promise<unknown>;
  /** Preferred ports; free ones are taken where somebody has them. Default: any free ones. */
  readonly ports?: { readonly postgres: number; readonly temporal: number; readonly ui: number };
  /** Serves the dashboard there on 127.0.0.1, at another port where somebody has it, unless the configuration says where. Default: it is not served. */
  readonly dashboardPort?: number;
  /** Destination types of your own, beside ours. */
  readonly destinationTypes?: readonly DestinationType[];
  /** Where `${X}` and `env:X` come from. Default `process.env`. */
  readonly env?: Environment;
  readonly log?: Log;
  readonly onProgress?: (line: string) => void;
}

export interface LocalOutbox {
  /** Superuser's connection string, password included. */
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  /** `http://127.0.0.1:<port>` */
  readonly temporalUi: string;
  readonly namespace: string;
  /** `http://127.0.0.1:<port>`; null where it is not served. */
  readonly dashboard: string | null;
  /** Rejects when a server or the worker ends without being asked; never resolves. */
  readonly failed: Promise<never>;
  /** Stops everything, in order; any number of calls. */
  stop(): Promise<void>;
}

/** The names of workflows/attributes.ts, which this does not import: it would load Temporal's client before it is needed. */
const searchAttributes = {
  OutboxState: 'Keyword',
  OutboxDestination: 'Keyword',
  OutboxEventType: 'Keyword',
} as const;

/**
 * A whole outbox on this machine: real PostgreSQL, real Temporal, schema, configuration, relay and worker. For
 * development and for your own tests.
 *
 * @throws OutboxError, with nothing left running
 */
export async function startLocalOutbox(options: LocalOutboxOptions): Promise<LocalOutbox> {
  const { onProgress = () => undefined, ports, dataDir } = options;
  const servers = await startServers({
    onProgress,
    searchAttributes,
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(ports === undefined
      ? {}
      : { postgresPort: ports.postgres, temporalPort: ports.temporal, uiPort: ports.ui }),
  });
  try {
    onProgress('preparing the schema and the configuration');
    await prepare(servers.postgres.url, options);
    onProgress('starting relay and worker');
    const running = await deliver(servers, options);
    return assemble(servers, running);
  } catch (error) {
    await servers.stop();
    throw error;
  }
}

async function prepare(url: string, { config, source, beforeConfig }: LocalOutboxOptions): Promise<void> {
  const pool = connect(url, { max: 1 });
  try {
    await migrate(pool);
    await beforeConfig?.(pool);
    await applyConfig(pool, config, source ?? JSON.stringify(config), 'local');
  } catch (error) {
    throw explainDatabaseError(error, 'the embedded PostgreSQL');
  } finally {
    await pool.end();
  }
}

async function deliver(
  { postgres, temporal }: Servers,
  { config, dashboardPort, env, log, destinationTypes }: LocalOutboxOptions,
): Promise<Running> {
  await quietenTemporal();
  return run({
    databaseUrl: postgres.url,
    temporal: { address: temporal.address, namespace: temporal.namespace, ignoreEnvironment: true },
    log: log ?? { debug: nothing, info: nothing, warn: nothing, error: nothing },
    // Both stores are our own: when Temporal's was lost, the rows know what to do.
    adopt: true,
    env: withOwnTemporal(env ?? process.env, temporal),
    ...(destinationTypes === undefined ? {} : { destinationTypes }),
    ...(dashboardPort === undefined
      ? { dashboardListen: null }
      : config.dashboard === undefined
        ? { dashboardListen: { host: '127.0.0.1', port: await freePort(dashboardPort) } }
        : {}),
  });
}

/** Its SDK tells each change of a worker's state on stderr, which every test file would show. Whoever has set it up otherwise keeps that. */
async function quietenTemporal(): Promise<void> {
  const { DefaultLogger, Runtime } = await import('@temporalio/worker');
  try {
    Runtime.install({ logger: new DefaultLogger('WARN') });
  } catch {
    // It is set up already.
  }
}

/** Destinations of type temporal without an address mean the Temporal of this process: the one started here. */
function withOwnTemporal(env: Environment, { address, namespace, uiUrl }: Servers['temporal']): Environment {
  const others = Object.entries(env).filter(([name]) => !name.startsWith('TEMPORAL_'));
  return {
    ...Object.fromEntries(others),
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: namespace,
    TEMPORAL_UI_URL: uiUrl ?? '',
  };
}

const nothing = (): void => undefined;

function assemble(servers: Servers, running: Running): LocalOutbox {
  const { postgres, temporal } = servers;
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    // The worker's own failure was told through `failed`.
    await running.stop().catch(nothing);
    await servers.stop();
  };
  const failed = Promise.race([
    running.finished.then(() => new Promise<never>(nothing)),
    endOf('PostgreSQL', postgres.exited, () => stopping !== undefined),
    endOf('Temporal', temporal.exited, () => stopping !== undefined),
  ]);
  failed.catch(nothing);
  return {
    databaseUrl: postgres.url,
    temporalAddress: temporal.address,
    temporalUi: temporal.uiUrl ?? '',
    namespace: temporal.namespace,
    dashboard: running.endpoints['dashboard'] ?? null,
    failed,
    stop: () => (stopping ??= stop()),
  };
}

async function endOf(
  name: string,
  exited: Promise<{ readonly code: number | null; readonly signal: string | null }>,
  asked: () => boolean,
): Promise<never> {
  const { code, signal } = await exited;
  if (asked()) return new Promise<never>(nothing);
  throw new OutboxError('OUTBOX_SERVER_START', `${name} ended by itself (${signal ?? `exit code ${code}`})`);
}
