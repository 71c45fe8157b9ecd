/** Relays against a real Temporal: several in this process, each with a wire of its own where wanted. */
import { createRelay, type Relay, type RelayOptions } from '../../src/relay/relay.ts';
import { connect } from '../../src/storage/connect.ts';
import { connectTemporal } from '../../src/temporal/connect.ts';
import { inspectNamespace } from '../../src/temporal/namespace.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  quietLog,
  servers,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';

/** A database with these destinations, each at its receiver, and routes `<destination>.*` to them. */
export async function databaseFor(receivers: Readonly<Record<string, Receiver>>): Promise<TestDatabase> {
  const database = await createTestDatabase();
  const names = Object.keys(receivers);
  const destinations = names.map(
    (name) => `  ${name}: { type: http, url: '${receivers[name]?.url}', retry: { initialInterval: 200ms } }`,
  );
  const routes = names.map((name) => `  - { match: '${name}.*', to: [${name}] }`);
  await applyTestConfig(
    database,
    `destinations:\n${destinations.join('\n')}\nroutes:\n${routes.join('\n')}\n`,
  );
  return database;
}

/** A relay without a worker; stopped when the test ends, or sooner by its `stop()`. */
export async function startRelay(
  database: TestDatabase,
  options: Partial<RelayOptions> & { readonly temporalAddress?: string } = {},
): Promise<Relay> {
  const { temporalAddress: address = servers().temporalAddress, ...others } = options;
  const pool = connect(database.url);
  const temporal = await connectTemporal({
    address,
    namespace: servers().temporalNamespace,
    ignoreEnvironment: true,
  });
  const { hasSearchAttributes: searchAttributes } = await inspectNamespace(temporal);
  const { log } = quietLog();
  const relay = await createRelay({ pool, temporal, name: database.name, searchAttributes, log, ...others });
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await relay.stop();
    await temporal.close();
    await pool.end();
  };
  const once = (): Promise<void> => (stopping ??= stop());
  atEnd(once);
  return { ...relay, stop: once };
}

/** Writes `count` events of a type in one statement; answers their ids. */
export async function write(database: TestDatabase, type: string, count = 1): Promise<string[]> {
  const rows = await database.rows<{ id: string }>(
    `insert into outbox.events (type, payload) select $1, '{}' from generate_series(1, $2::int) returning id`,
    [type, count],
  );
  return rows.map(({ id }) => id);
}

export async function ownersOf(database: TestDatabase): Promise<Record<string, string | null>> {
  const rows = await database.rows<{ name: string; owner: string | null }>(
    `select l.name, r.id as owner from outbox.lanes l left join outbox.relays r on r.id = l.owner and r.lease_until > now() order by l.name`,
  );
  return Object.fromEntries(rows.map(({ name, owner }) => [name, owner]));
}
