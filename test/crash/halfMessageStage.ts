/** What half messages go through: a shop with a database of its own, the outbox, a Temporal that can be stopped, and a `run` that is killed. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { answerCheckBack, postgresMarkers } from '../../src/index.ts';
import { connect } from '../../src/storage/connect.ts';
import { startApi, token } from '../api/support.ts';
import { temporalServer, type TemporalServer } from '../chaos/servers.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  spawnRun,
  startReceiver,
  startTcpProxy,
} from '../support/index.ts';
import { everything } from '../support/everything.ts';
import { connectionsGone, unacknowledged } from './drain.ts';
import { atOnce, each, kinds } from './halfMessageKinds.ts';

const program = fileURLToPath(new URL('./halfMessageProducer.mjs', import.meta.url));

export const graceMs = 5_000;
/** Check-backs before a message is parked: the first, and one for each entry of the schedule. */
export const checks = everything ? 15 : 8;
/** Of the one destination. */
const concurrency = 50;
const inFlight = 2;

/** What `run` or its Temporal went through; only what was under way then may come again. */
export interface Fault {
  readonly fromMs: number;
  readonly toMs: number;
}

export type Stage = Awaited<ReturnType<typeof openStage>>;

export async function openStage() {
  const [shop, answering] = await openShop();
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  // Not so short that a workflow asks about few at a time.
  const schedule = Array.from({ length: checks - 1 }, () => '1s').join(', ');
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver.url}', concurrency: ${concurrency}, batch: { inFlight: ${inFlight} } }
    routes: [{ match: '*', to: [billing] }]
    producers:
      shop: { checkBack: { url: '${answering.url}', grace: ${graceMs}ms, timeout: 15s, schedule: [${schedule}] } }`,
  );
  const temporal = await startTemporal();
  const faults: Fault[] = [];
  const fault = async (work: () => Promise<void>): Promise<void> => {
    const fromMs = Date.now();
    await work();
    faults.push({ fromMs, toMs: Date.now() });
  };
  const start = () =>
    spawnRun({
      databaseUrl: database.url,
      env: { TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: 'default' },
    });
  let run = start();
  /** Requests that were under way when something was lost. */
  let lost = 0;
  return {
    ...{ shop, answering, database, receiver, faults },
    produce: await producing(database.url, shop.url),
    /** Deliveries that may come twice. */
    mayRepeat: () => lost,
    killRun: () =>
      fault(async () => {
        await run.kill('SIGKILL');
        await connectionsGone(database.pool);
        lost += await unacknowledged(database.pool, receiver);
        run = start();
      }),
    /** Stopped for as long as the work takes. */
    withoutTemporal: (work: () => Promise<void>) =>
      fault(async () => {
        lost += inFlight * concurrency;
        await temporal.restart('stop', 0, work);
      }),
    client: async () => {
      const connection = await Connection.connect({ address: temporal.address });
      atEnd(() => connection.close());
      return new Client({ connection });
    },
  };
}

/** Its database, with orders and markers, and the server that answers check-backs. */
async function openShop() {
  const shop = await createTestDatabase({ migrated: false });
  await shop.pool.query('create table orders (id uuid primary key, kind text not null)');
  const pool = connect(shop.url, { max: 20 });
  atEnd(() => pool.end());
  const markers = postgresMarkers(pool, { lockTimeoutMs: 500 });
  await markers.migrate();
  const answering = await startReceiver({
    answer: async ({ body }) => {
      const { id, type } = JSON.parse(body.toString()) as { id: string; type: string };
      const answer = type === 'order.unknown' ? 'unknown' : await answerCheckBack(markers, id);
      return { status: 200, body: JSON.stringify({ answer }) };
    },
  });
  return [shop, answering] as const;
}

/** In a file: what was so is so when it comes back. */
async function startTemporal(): Promise<TemporalServer> {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-half-'));
  atEnd(() => rm(directory, { recursive: true, force: true }));
  return temporalServer(join(directory, 'temporal.db'));
}

/** Starts a producer of a kind; answers what its calls came to, when they have all ended or stand still, and it is killed. */
async function producing(outboxUrl: string, shopUrl: string) {
  const outbox = connect(outboxUrl, { max: 20, applicationName: 'api' });
  atEnd(() => outbox.end());
  const api = await startApi({ pool: outbox }, { tokens: ['env:TOKEN'] });
  const nowhere = await startTcpProxy('127.0.0.1:9');
  await nowhere.become('refuse');
  const away = new URL(outboxUrl);
  away.host = nowhere.address;
  const blind = connect(away.href);
  atEnd(() => blind.end());
  const shared = {
    ...{
      SHOP_URL: shopUrl,
      OUTBOX_URL: outboxUrl,
      API_TOKEN: token,
      COUNT: String(each),
      AT_ONCE: String(atOnce),
    },
    LOSING_COMMITS_URL: await losingAnswers(api, /\/commit$/),
    LOSING_PREPARES_URL: await losingAnswers(api, /\/messages$/),
    OUTBOX_AWAY_URL: away.href,
    API_AWAY_URL: `http://${nowhere.address}`,
    API_WITHOUT_DATABASE_URL: await startApi({ pool: blind }, { tokens: ['env:TOKEN'] }),
  };
  return (kind: string) => produce({ ...shared, KIND: kind, MODE: kinds[kind]?.mode ?? '' });
}

async function produce(env: Readonly<Record<string, string>>): Promise<Record<string, number>> {
  const child = spawn(process.execPath, [program], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  atEnd(() => child.kill('SIGKILL'));
  let said = '';
  let complained = '';
  child.stderr.on('data', (text: Buffer) => (complained += text.toString()));
  const told = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (text: Buffer) => {
      said += text.toString();
      const [, json] = /^ready (.*)\n/.exec(said) ?? [];
      if (json !== undefined) resolve(json);
    });
    child.once('exit', (code) => reject(new Error(`${env['KIND']} ended with ${code}: ${complained}`)));
  });
  child.kill('SIGKILL');
  return JSON.parse(told) as Record<string, number>;
}

/** Hands every request on; those for such a path arrive, and their answers never come back. */
async function losingAnswers(target: string, lost: RegExp): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    const passed = forward(
      `${target}${incoming.url}`,
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        if (lost.test(incoming.url ?? '')) answer.resume().once('end', () => incoming.socket.destroy());
        else answer.pipe(outgoing.writeHead(answer.statusCode ?? 0, answer.headers));
      },
    );
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
