import { join } from 'node:path';
import { startPostgres, type EmbeddedPostgres } from './postgres.ts';
import { startTemporal, type EmbeddedTemporal, type SearchAttributeType } from './temporal.ts';

export { startPostgres, type EmbeddedPostgres, type PostgresOptions } from './postgres.ts';
export { findRabbitmq, startRabbitmq, type EmbeddedRabbitmq } from './rabbitmq.ts';
export { findTemporalCli, type TemporalCli } from './temporalCli.ts';
export {
  startTemporal,
  type EmbeddedTemporal,
  type SearchAttributeType,
  type TemporalOptions,
} from './temporal.ts';

export interface ServersOptions {
  /** Keeps `postgres/` and `temporal.db` between starts. Without it everything is temporary. */
  readonly dataDir?: string;
  /** Preferred ports on 127.0.0.1; free ones are taken where somebody has them. Default: any free ones. */
  readonly postgresPort?: number;
  readonly temporalPort?: number;
  readonly uiPort?: number;
  /** No Temporal web UI. Default: false. */
  readonly headless?: boolean;
  readonly postgresSettings?: Readonly<Record<string, string>>;
  readonly namespace?: string;
  readonly searchAttributes?: Readonly<Record<string, SearchAttributeType>>;
  readonly dynamicConfig?: Readonly<Record<string, string | number | boolean>>;
  readonly onProgress?: (line: string) => void;
}

export interface Servers {
  readonly postgres: EmbeddedPostgres;
  readonly temporal: EmbeddedTemporal;
  /** Stops both and waits; any number of calls. */
  stop(): Promise<void>;
}

/**
 * PostgreSQL and Temporal, started side by side. Both end with this process, however it ends.
 *
 * Throws OUTBOX_SERVER_DOWNLOAD or OUTBOX_SERVER_START; then neither is left running.
 */
export async function startServers(options: ServersOptions = {}): Promise<Servers> {
  const [postgres, temporal] = await Promise.allSettled([
    startPostgres(postgresOptions(options)),
    startTemporal(temporalOptions(options)),
  ]);
  if (postgres.status === 'rejected' || temporal.status === 'rejected') {
    if (postgres.status === 'fulfilled') await postgres.value.stop();
    if (temporal.status === 'fulfilled') await temporal.value.stop();
    throw failureOf([postgres, temporal]);
  }
  const stop = async (): Promise<void> => {
    await Promise.all([temporal.value.stop(), postgres.value.stop()]);
  };
  return { postgres: postgres.value, temporal: temporal.value, stop };
}

function failureOf(results: readonly PromiseSettledResult<unknown>[]): Error {
  return results.find((result) => result.status === 'rejected')?.reason as Error;
}

function postgresOptions(options: ServersOptions): Parameters<typeof startPostgres>[0] {
  return definedOnly({
    dataDir: options.dataDir === undefined ? undefined : join(options.dataDir, 'postgres'),
    port: options.postgresPort,
    settings: options.postgresSettings,
    onProgress: options.onProgress,
  });
}

function temporalOptions(options: ServersOptions): Parameters<typeof startTemporal>[0] {
  return definedOnly({
    dataFile: options.dataDir === undefined ? undefined : join(options.dataDir, 'temporal.db'),
    port: options.temporalPort,
    uiPort: options.uiPort,
    headless: options.headless,
    namespace: options.namespace,
    searchAttributes: options.searchAttributes,
    dynamicConfig: options.dynamicConfig,
    onProgress: options.onProgress,
  });
}

/** `exactOptionalPropertyTypes` tells a missing option from one that is `undefined`. */
function definedOnly<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const defined = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
