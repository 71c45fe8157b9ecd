/** Everything real that a run stirs: PostgreSQL, Temporal, our processes, receivers, producers, and a wire to each that can be cut. */
import { accessSync, constants } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../../src/config/load.ts';
import { postgresMarkers } from '../../src/index.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import { applyConfig } from '../../src/storage/configuration.ts';
import { connect, type Pool } from '../../src/storage/connect.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { atEnd, startTcpProxy, type TcpProxy } from '../support/index.ts';
import { concurrency, inFlight, timeoutMs } from './bounds.ts';
import type { History } from './history.ts';
import { followJournals, type Journals } from './journals.ts';
import { asOurLogin, createOurLogin } from './login.ts';
import { startPooler, type Pooler } from './pooler.ts';
import { keepProcess, steadyPort, type OurProcess } from './processes.ts';
import { postgresServer, temporalServer, type PostgresServer, type TemporalServer } from './servers.ts';

/** One of ours, with wires of its own. */
export interface Worker extends OurProcess {
  readonly postgres: TcpProxy;
  readonly temporal: TcpProxy;
}

export interface ReceiverProcess extends OurProcess {
  readonly destination: string;
  /** From ours to it. */
  readonly wire: TcpProxy;
}

export interface World {
  /** Past all wires, for the rig itself; `bank` is the database of the receiver with the inbox, `shop` that of the half messages. */
  readonly databases: { readonly outbox: Pool; readonly bank: Pool; readonly shop: Pool };
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly name: string;
  readonly ours: readonly Worker[];
  readonly servers: { readonly postgres: PostgresServer; readonly temporal: TemporalServer };
  /** Between every second process of ours and PostgreSQL; undefined where there is no pgbouncer. */
  readonly pooler: Pooler | undefined;
  readonly receivers: readonly ReceiverProcess[];
  readonly producers: readonly OurProcess[];
  /** From all producers to PostgreSQL, and from the bank to its database. */
  readonly producersToPostgres: TcpProxy;
  readonly bankToPostgres: TcpProxy;
  /** What receivers and producers note comes into the history until this is stopped. */
  readonly journals: Journals;
}

export interface Load {
  readonly seed: number;
  readonly eventsPerSecond: number;
}

export const routes = {
  'order.created': ['billing', 'ledger'],
  'odd.created': ['picky'],
  'payment.created': ['bank'],
  'half.created': ['billing'],
} as const;
export const destinations = ['billing', 'ledger', 'picky', 'spare', 'bank'] as const;
/** Started again while Temporal is away for two minutes, they wait for it. */
const commands = ['run', 'run', 'relay', 'worker'] as const;
const name = 'chaos';
const bankSecret = `whsec_${Buffer.alloc(32, 'bank').toString('base64')}`;
/** A share of all events, but no more than one a second: a person answers each of them. */
const oddShare = 0.01;
const halfMessageShare = 0.05;

const cli = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
const actor = (file: string): string => fileURLToPath(new URL(`./actors/${file}.mjs`, import.meta.url));

export async function startWorld(directory: string, history: History, load: Load): Promise<World> {
  for (const folder of ['logs', 'journals']) await mkdir(join(directory, folder), { recursive: true });
  // As root PostgreSQL runs as another user, who must be able to enter.
  await chmod(directory, 0o755);
  const [postgres, temporal] = await Promise.all([
    postgresServer(join(directory, 'postgres')),
    temporalServer(join(directory, 'temporal.db')),
  ]);
  const databases = await createDatabases(postgres.url);
  const host = new URL(postgres.url).host;
  const wires = { producers: await startTcpProxy(host), bank: await startTcpProxy(host) };
  const place = (process: string) => ({
    log: join(directory, 'logs', `${process.replaceAll(' ', '-')}.log`),
    journal: join(directory, 'journals', `${process}.jsonl`),
  });
  const journals: string[] = [];

  const receivers = await Promise.all(
    destinations.map(async (destination): Promise<ReceiverProcess> => {
      const { log, journal } = place(destination);
      const port = await steadyPort();
      journals.push(journal);
      const env = {
        NAME: destination,
        PORT: String(port),
        SEED: String(load.seed),
        JOURNAL: journal,
        BANK_URL: through(wires.bank, postgres.url, 'bank'),
        BANK_SECRET: bankSecret,
      };
      const args = [actor(destination === 'bank' ? 'bank' : 'receiver')];
      const process = keepProcess({ name: destination, args, env: () => env, log }, history);
      return { ...process, destination, wire: await startTcpProxy(`127.0.0.1:${port}`) };
    }),
  );

  const checkBackPort = await steadyPort();
  await configure(databases.outbox, receivers, `http://127.0.0.1:${checkBackPort}/`);

  const producers = producerKinds().map(({ name: producer, kind, share }) => {
    const { log, journal } = place(producer);
    journals.push(journal);
    const env = (incarnation: number) => ({
      NAME: producer,
      KIND: kind,
      SEED: String(load.seed),
      INCARNATION: String(incarnation),
      RATE: String(load.eventsPerSecond * share),
      ODD_SHARE: String(Math.min(oddShare, 1 / load.eventsPerSecond)),
      JOURNAL: journal,
      DATABASE_URL: through(wires.producers, postgres.url),
      SHOP_URL: through(wires.producers, postgres.url, 'shop'),
      CHECK_BACK_PORT: String(checkBackPort),
      PSQL: findPsql() ?? '',
    });
    return keepProcess({ name: producer, args: [actor('producer')], env, log }, history);
  });

  const pooler = await startPooler(directory, asOurLogin(postgres.url));
  const ours = await Promise.all(
    commands.map(async (command, number): Promise<Worker> => {
      const server = number % 2 === 0 ? host : (pooler?.address ?? host);
      const own = { postgres: await startTcpProxy(server), temporal: await startTcpProxy(temporal.address) };
      const env = {
        OUTBOX_DATABASE_URL: through(own.postgres, asOurLogin(postgres.url)),
        TEMPORAL_ADDRESS: own.temporal.address,
        TEMPORAL_NAMESPACE: 'default',
        BANK_SECRET: bankSecret,
      };
      const process = `${command} ${number}`;
      const { log } = place(process);
      return {
        ...keepProcess({ name: process, args: [cli, command, '--wait', '5m'], env: () => env, log }, history),
        ...own,
      };
    }),
  );
  return {
    databases,
    databaseUrl: postgres.url,
    temporalAddress: temporal.address,
    name,
    ours,
    servers: { postgres, temporal },
    pooler,
    receivers,
    producers,
    producersToPostgres: wires.producers,
    bankToPostgres: wires.bank,
    journals: followJournals(journals, history),
  };
}

/** One of them is psql, where there is one: nothing of ours, plain SQL. */
function producerKinds() {
  const third = findPsql() === undefined ? 'enqueueing' : 'psql';
  const share = (1 - halfMessageShare) / 3;
  return [
    { name: 'node-1', kind: 'enqueueing', share },
    { name: 'node-2', kind: 'enqueueing', share },
    { name: third === 'psql' ? 'psql' : 'node-3', kind: third, share },
    { name: 'shop', kind: 'halfMessages', share: halfMessageShare },
  ];
}

function through(wire: TcpProxy, databaseUrl: string, database?: string): string {
  const url = new URL(databaseUrl);
  url.host = wire.address;
  if (database !== undefined) url.pathname = `/${database}`;
  return url.href;
}

async function createDatabases(databaseUrl: string): Promise<World['databases']> {
  const open = (database?: string): Pool => {
    const url = new URL(databaseUrl);
    if (database !== undefined) url.pathname = `/${database}`;
    const pool = connect(url.href, { applicationName: 'chaos', onIdleError: () => undefined });
    atEnd(() => pool.end());
    return pool;
  };
  const outbox = open();
  for (const database of ['bank', 'shop']) await outbox.query(`create database ${database}`);
  const databases = { outbox, bank: open('bank'), shop: open('shop') };
  await migrate(outbox);
  await createOurLogin(outbox);
  await outbox.query('create schema chaos; create table chaos.facts (tx text primary key)');
  await migrateInbox(databases.bank);
  await databases.bank.query(
    `create table bookings (event text not null);
     create table balances (account integer primary key, payments bigint not null);
     insert into balances select n, 0 from generate_series(0, 15) n`,
  );
  await postgresMarkers(databases.shop).migrate();
  await databases.shop.query('create table facts (tx text primary key)');
  return databases;
}

/** Little is left to an event's budget, so that an outage that was charged would park. Probes come soon: after healing a minute is given. */
async function configure(outbox: Pool, receivers: readonly ReceiverProcess[], checkBackUrl: string) {
  const common = [
    `timeout: ${timeoutMs}ms`,
    `concurrency: ${concurrency}`,
    `batch: { inFlight: ${inFlight} }`,
    'circuit: { probeAfter: 2s, maximumProbeInterval: 15s }',
    'retry: { initialInterval: 300ms, backoffCoefficient: 2, maximumInterval: 2s, maximumAttempts: 12 }',
  ].join(', ');
  const own: Readonly<Record<string, string>> = {
    ledger: ', ordering: key',
    bank: ', signing: { scheme: standard-webhooks, secrets: [env:BANK_SECRET] }',
  };
  const text = [
    `name: ${name}`,
    'destinations:',
    ...receivers.map(
      ({ destination, wire }) =>
        `  ${destination}: { type: http, url: 'http://${wire.address}/', ${common}${own[destination] ?? ''} }`,
    ),
    'routes:',
    ...Object.entries(routes).map(([match, to]) => `  - { match: '${match}', to: [${to.join(', ')}] }`),
    'producers:',
    `  shop: { checkBack: { url: '${checkBackUrl}', grace: 3s, timeout: 3s, schedule: [${Array(60).fill('2s').join(', ')}] } }`,
  ].join('\n');
  const { config } = parseConfig(text, { path: 'chaos.yaml', env: { BANK_SECRET: bankSecret } });
  await applyConfig(outbox, config, text, 'chaos');
}

/** A psql on PATH, or where Debian keeps it; undefined where there is none. */
function findPsql(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const debian = [18, 17, 16, 15, 14].map((version) => `/usr/lib/postgresql/${version}/bin`);
  return [...folders, ...debian]
    .map((folder) => join(folder, 'psql'))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
