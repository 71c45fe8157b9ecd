/** Everything real that a run stirs: PostgreSQL, Temporal, our processes, receivers, and a wire to each that can be cut. */
import { spawn, type ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  startPostgres,
  startTemporal,
  type EmbeddedPostgres,
  type EmbeddedTemporal,
} from '../../src/embedded/index.ts';
import { parseConfig } from '../../src/config/load.ts';
import { OutboxError } from '../../src/errors.ts';
import { applyConfig } from '../../src/storage/configuration.ts';
import { connect, type Pool } from '../../src/storage/connect.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { atEnd, startTcpProxy, type TcpProxy } from '../support/index.ts';
import type { History } from './history.ts';
import type { Random } from './random.ts';

const cli = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

/** One of ours, restarted by whoever ended it; one that ends by itself is noted, and started again. */
export interface OurProcess {
  readonly name: string;
  readonly postgres: TcpProxy;
  readonly temporal: TcpProxy;
  pid(): number | undefined;
  signal(signal: NodeJS.Signals): void;
  /** Ends it and starts it again after a pause. */
  restart(signal: 'SIGKILL' | 'SIGTERM', pauseMs: number): Promise<void>;
  stop(): Promise<void>;
}

/** A server that can be ended hard or in order, and comes back at its address with its data. */
export interface OurServer {
  restart(how: 'kill' | 'stop', pauseMs: number): Promise<void>;
}

export interface World {
  /** Past all proxies, for the rig itself. */
  readonly admin: Pool;
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly name: string;
  /** Whether `ledger` keeps order per key. */
  readonly ordered: boolean;
  readonly processes: readonly OurProcess[];
  readonly servers: { readonly postgres: OurServer; readonly temporal: OurServer };
  /** Before each receiver, by destination. */
  readonly receivers: Readonly<Record<string, TcpProxy>>;
  /** Between producers and PostgreSQL. */
  readonly producers: TcpProxy;
}

export const routes = { 'order.created': ['billing', 'ledger'], 'odd.created': ['picky'] } as const;
const destinations = ['billing', 'ledger', 'picky', 'spare'] as const;
const commands = ['run', 'run', 'relay', 'worker'] as const;

export async function startWorld(directory: string, history: History, random: Random): Promise<World> {
  await mkdir(join(directory, 'logs'), { recursive: true });
  // As root PostgreSQL runs as another user, who must be able to enter.
  await chmod(directory, 0o755);
  const postgres = await postgresServer(join(directory, 'postgres'));
  const temporal = await temporalServer(join(directory, 'temporal.db'));
  const admin = connect(postgres.url, { applicationName: 'chaos', onIdleError: () => undefined });
  atEnd(() => admin.end());
  await migrate(admin);
  await admin.query('create schema chaos; create table chaos.facts (tx text primary key)');
  const receivers = Object.fromEntries(
    await Promise.all(
      destinations.map(
        async (name) => [name, await startReceiver(name, history, random.fork(name))] as const,
      ),
    ),
  );
  const name = 'chaos';
  const ordered = await configure(admin, name, receivers);
  const host = new URL(postgres.url).host;
  const processes = await Promise.all(
    commands.map(async (command, number) => {
      const wires = { postgres: await startTcpProxy(host), temporal: await startTcpProxy(temporal.address) };
      const url = new URL(postgres.url);
      url.host = wires.postgres.address;
      const log = join(directory, 'logs', `${number}-${command}.log`);
      return ourProcess(`${command} ${number}`, command, { ...wires, url: url.href, log }, history);
    }),
  );
  return {
    admin,
    databaseUrl: postgres.url,
    temporalAddress: temporal.address,
    name,
    ordered,
    processes,
    servers: { postgres: postgres.server, temporal: temporal.server },
    receivers,
    producers: await startTcpProxy(host),
  };
}

async function postgresServer(dataDir: string) {
  // A process that is killed loses nothing that it gave to the operating system: no need to wait for the disk.
  const settings = { fsync: 'off', max_connections: '200' };
  let running: EmbeddedPostgres = await startPostgres({ dataDir, settings });
  const { port, url } = running;
  atEnd(() => running.stop());
  const server: OurServer = {
    restart: async (how, pauseMs) => {
      if (how === 'kill') process.kill(running.pid, 'SIGKILL');
      else await running.stop();
      await running.exited;
      await sleep(pauseMs);
      running = await startPostgres({ dataDir, port, settings });
      if (running.port !== port) throw new Error(`port ${port} was taken by somebody`);
    },
  };
  return { url, server };
}

async function temporalServer(dataFile: string) {
  const options = {
    dataFile,
    headless: true,
    searchAttributes: { OutboxState: 'Keyword', OutboxDestination: 'Keyword', OutboxEventType: 'Keyword' },
  } as const;
  let running: EmbeddedTemporal = await startTemporal(options);
  const { address } = running;
  const port = Number(address.split(':')[1]);
  atEnd(() => running.stop());
  const server: OurServer = {
    restart: async (how, pauseMs) => {
      if (how === 'kill') process.kill(running.pid, 'SIGKILL');
      else await running.stop();
      await running.exited;
      await sleep(pauseMs);
      running = await startTemporal({ ...options, port });
      if (running.address !== address) throw new Error(`${address} was taken by somebody`);
    },
  };
  return { address, server };
}

/** Answers whether this version keeps order per key. */
async function configure(
  admin: Pool,
  name: string,
  receivers: Readonly<Record<string, TcpProxy>>,
): Promise<boolean> {
  const retry =
    '{ initialInterval: 300ms, backoffCoefficient: 2, maximumInterval: 2s, maximumAttempts: 100 }';
  const text = (ordering: string): string =>
    [
      `name: ${name}`,
      'destinations:',
      ...destinations.map((each) => {
        const own = each === 'ledger' ? `, ordering: ${ordering}` : '';
        const url = `http://${receivers[each]?.address ?? ''}/`;
        return `  ${each}: { type: http, url: '${url}', timeout: 8s, retry: ${retry}${own} }`;
      }),
      'routes:',
      ...Object.entries(routes).map(([match, to]) => `  - { match: '${match}', to: [${to.join(', ')}] }`),
    ].join('\n');
  for (const ordering of ['key', 'none']) {
    try {
      const { config } = parseConfig(text(ordering), { path: 'chaos.yaml', env: {} });
      await applyConfig(admin, config, text(ordering), 'chaos');
      return ordering === 'key';
    } catch (error) {
      if (!(error instanceof OutboxError) || ordering === 'none') throw error;
    }
  }
  return false;
}

/** Has its effect (a line in the history) and then answers; `picky` refuses what it has not seen retried, edited or redirected. */
async function startReceiver(destination: string, history: History, random: Random): Promise<TcpProxy> {
  const statusOf = (attempt: number): number => {
    if (destination === 'picky') return attempt > 1 ? 204 : 422;
    return random.weighted([
      [96, 204],
      [2, 500],
      [2, 503],
    ]);
  };
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const header = (name: string): string => String(request.headers[name] ?? '');
      const id = header('webhook-id');
      const attempt = Number(header('outbox-attempt'));
      const status = statusOf(attempt);
      const key = header('idempotency-key').replaceAll('"', '');
      const event = id.replace(/:r\d+$/, '');
      history.note({ what: 'request', destination, event, id, key, attempt, status });
      response.writeHead(status).end();
    });
    request.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return startTcpProxy(`127.0.0.1:${(server.address() as AddressInfo).port}`);
}

interface Wiring {
  readonly postgres: TcpProxy;
  readonly temporal: TcpProxy;
  readonly url: string;
  readonly log: string;
}

function ourProcess(
  name: string,
  command: string,
  { postgres, temporal, url, log }: Wiring,
  history: History,
): OurProcess {
  let child: ChildProcess | undefined;
  let ended: Promise<void> = Promise.resolve();
  let asked = false;
  const start = (): void => {
    const out = openSync(log, 'a');
    const started = spawn(process.execPath, [cli, command], {
      stdio: ['ignore', out, out],
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        OUTBOX_DATABASE_URL: url,
        TEMPORAL_ADDRESS: temporal.address,
        TEMPORAL_NAMESPACE: 'default',
      },
    });
    child = started;
    asked = false;
    ended = new Promise((resolve) => {
      started.once('exit', (code, signal) => {
        if (child === started && !asked) {
          history.note({ what: 'ended', process: name, code, signal });
          setTimeout(start, 500);
        }
        resolve();
      });
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    asked = true;
    child?.kill(signal);
    // One that stands still hears nothing but SIGKILL.
    child?.kill('SIGCONT');
    const patience = setTimeout(() => child?.kill('SIGKILL'), 30_000);
    await ended;
    clearTimeout(patience);
  };
  start();
  atEnd(() => end('SIGKILL'));
  return {
    name,
    postgres,
    temporal,
    pid: () => (child?.exitCode === null && child.signalCode === null ? child.pid : undefined),
    signal: (signal) => void child?.kill(signal),
    restart: async (signal, pauseMs) => {
      if (asked) return;
      await end(signal);
      await sleep(pauseMs);
      start();
    },
    stop: () => end('SIGTERM'),
  };
}

/** Resident memory of a process, MiB; null where /proc does not say. */
export async function rssMiB(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  return kib === undefined ? null : Math.round(Number(kib) / 1024);
}
