/** Producers, the outbox, RabbitMQ, and consumers with a database of their own: all real, all to be killed. */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect as connectQueue } from 'amqplib';
import { parseConfig } from '../../../src/config/load.ts';
import { migrateInbox } from '../../../src/inbox/index.ts';
import { applyConfig } from '../../../src/storage/configuration.ts';
import { connect, type Pool } from '../../../src/storage/connect.ts';
import { migrate } from '../../../src/storage/migrate.ts';
import { launchRabbitmq, type LaunchedRabbitmq } from '../../support/brokers/rabbitmq.ts';
import { atEnd } from '../../support/index.ts';
import type { History } from '../history.ts';
import { keepProcess, type OurProcess } from '../processes.ts';
import { postgresServer, temporalServer, type PostgresServer, type TemporalServer } from '../servers.ts';

export interface QueueWorld {
  readonly broker: LaunchedRabbitmq;
  readonly queue: string;
  readonly outbox: PostgresServer;
  readonly stock: PostgresServer;
  readonly temporal: TemporalServer;
  readonly pools: { readonly outbox: Pool; readonly stock: Pool };
  readonly runs: readonly OurProcess[];
  readonly consumers: readonly OurProcess[];
  readonly producers: readonly OurProcess[];
}

const queue = 'stock';
const cli = fileURLToPath(new URL('../../../dist/src/cli/main.js', import.meta.url));
const actor = (file: string): string => fileURLToPath(new URL(`../actors/${file}.mjs`, import.meta.url));

export async function startQueueWorld(
  directory: string,
  history: History,
  load: { readonly seed: number; readonly eventsPerSecond: number },
): Promise<QueueWorld> {
  for (const folder of ['logs', 'journals']) await mkdir(join(directory, folder), { recursive: true });
  // As root PostgreSQL runs as another user, who must be able to enter.
  await chmod(directory, 0o755);
  const broker = await launchRabbitmq();
  atEnd(broker.stop);
  await declareQueue(broker);
  const outbox = await postgresServer(join(directory, 'outbox'));
  const stock = await postgresServer(join(directory, 'stock'));
  const temporal = await temporalServer(join(directory, 'temporal.db'));
  const pools = { outbox: openPool(outbox.url), stock: openPool(stock.url) };
  await prepare(pools, broker.url);

  const keep = (name: string, args: string[], env: (incarnation: number) => Record<string, string>) =>
    keepProcess({ name, args, env, log: join(directory, 'logs', `${name}.log`) }, history);
  const consumers = ['consumer-1', 'consumer-2'].map((name) =>
    keep(name, [actor('consumer')], () => ({
      FROM: JSON.stringify({ type: 'rabbitmq', url: broker.url, queue }),
      STOCK_URL: stock.url,
    })),
  );
  const runs = ['run-1', 'run-2'].map((name) =>
    keep(name, [cli, 'run', '--wait', '5m'], () => ({
      OUTBOX_DATABASE_URL: outbox.url,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: 'default',
    })),
  );
  const names = ['producer-1', 'producer-2'];
  const producers = names.map((name) =>
    keep(name, [actor('producer')], (incarnation) => ({
      ...{ NAME: name, KIND: 'enqueueing', SEED: String(load.seed), INCARNATION: String(incarnation) },
      ...{ RATE: String(load.eventsPerSecond / names.length), ODD_SHARE: '0' },
      ...{ JOURNAL: join(directory, 'journals', `${name}.jsonl`), DATABASE_URL: outbox.url },
    })),
  );
  return { broker, queue, outbox, stock, temporal, pools, runs, consumers, producers };
}

/** Classic: after kill -9 Debian's 3.10 leaves a quorum queue without a leader now and then, whoever consumes from it. */
async function declareQueue({ url, syncDefinitions }: LaunchedRabbitmq): Promise<void> {
  const connection = await connectQueue(url);
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-single-active-consumer': true } });
  await connection.close();
  await syncDefinitions();
}

async function prepare({ outbox, stock }: QueueWorld['pools'], url: string): Promise<void> {
  await migrate(outbox);
  await outbox.query('create schema chaos; create table chaos.facts (tx text primary key)');
  const destination = {
    ...{ type: 'rabbitmq', url, exchange: '', routingKey: queue, ordering: 'key', timeout: '8s' },
    circuit: { probeAfter: '1s', maximumProbeInterval: '5s' },
    retry: { initialInterval: '300ms', maximumInterval: '2s' },
  };
  const text = `name: chaos-queue\ndestinations: { stock: ${JSON.stringify(destination)} }\nroutes: [{ match: '*', to: [stock] }]\n`;
  await applyConfig(outbox, parseConfig(text, { path: 'chaos.yaml', env: {} }).config, text, 'chaos');
  await migrateInbox(stock);
  await stock.query(
    'create table effects (at bigserial, event text not null, key text not null, number integer not null)',
  );
}

function openPool(url: string): Pool {
  const pool = connect(url, { applicationName: 'chaos', onIdleError: () => undefined });
  atEnd(() => pool.end());
  return pool;
}
