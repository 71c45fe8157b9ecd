/** What every contestant plays on: PostgreSQL, Temporal, a receiver, and a Node recent enough for all of them. */
import { execFileSync, fork, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { startServers } from '../../dist/src/embedded/index.js';
import { historiesSince } from './histories.mjs';
import { startTemporalOnPostgres } from './temporalOnPostgres.mjs';

const peersFolder = join(homedir(), '.cache', 'temporal-outbox', 'bench');
export const peers = { 'graphile-worker': '0.18.0', 'pg-boss': '12.38.0', '@dbos-inc/dbos-sdk': '5.3.0' };

/** `temporalKind`: `dev`, the development server that we embed; `postgres`, a server with its state in PostgreSQL. */
export async function openStage(say, temporalKind = 'dev') {
  const node = recentNode(say);
  fetchPeers(say);
  const servers = await startServers({ headless: true, onProgress: say });
  const receiver = fork(new URL('./receiver.mjs', import.meta.url).pathname, { execPath: node.path });
  const { port } = await message(receiver, 'listening');
  const admin = new pg.Client(servers.postgres.url);
  await admin.connect();
  const server =
    temporalKind === 'postgres'
      ? await startTemporalOnPostgres(servers.postgres.url, peersFolder, say)
      : servers.temporal;
  const temporal = await Connection.connect({ address: server.address });
  const { workflow } = new Client({ connection: temporal });
  let databases = 0;
  return {
    nodeVersion: node.version,
    temporalAddress: server.address,
    postgresPid: servers.postgres.pid,
    temporalPid: server.pid,
    receiverPid: receiver.pid,
    receiverUrl: `http://127.0.0.1:${port}/`,
    /** Rows received since the last reset, and the commit-to-receipt times of those that carry `at`. */
    received: async (reset = false) => {
      receiver.send({ reset });
      return message(receiver, 'count');
    },
    /** Of its answers this share takes so many milliseconds. */
    slowDown: async (slowDown) => {
      receiver.send({ slowDown });
      await message(receiver, 'count');
    },
    /** Of ours that deliver, as many as Temporal knows of. */
    workflows: async () => (await workflow.count(`WorkflowType = 'deliver'`)).count,
    /** Of all workflows started since then: see histories.mjs. */
    histories: (since) => historiesSince(workflow, since),
    newDatabase: async () => {
      const name = `bench_${++databases}`;
      await admin.query(`create database ${name}`);
      const url = new URL(servers.postgres.url);
      url.pathname = `/${name}`;
      return url.href;
    },
    /** Starts a contestant's process; it prepares, and begins when told. */
    launch: async (contestant, { payloadBytes = 250, ...settings }) => {
      const child = fork(new URL(`./contestants/${contestant.file}`, import.meta.url).pathname, {
        execPath: node.path,
        env: {
          ...process.env,
          BENCH_PEERS: peersFolder,
          BENCH_PAYLOAD_BYTES: String(payloadBytes),
          NODE_PATH: join(peersFolder, 'node_modules'),
        },
      });
      child.setMaxListeners(0); // each insert waits for its answer
      child.send({ ...settings, ...contestant.settings, temporalAddress: server.address });
      await message(child, 'prepared');
      return {
        pid: child.pid,
        tell: async (order, answer) => {
          child.send({ order });
          return message(child, answer);
        },
        end: () =>
          new Promise((resolve) => {
            child.once('exit', resolve);
            child.send({ order: 'stop' });
            setTimeout(() => child.kill('SIGKILL'), 15_000).unref();
          }),
      };
    },
    /** The built command as people start it. */
    runCommand: (databaseUrl) => {
      const main = new URL('../../dist/src/cli/main.js', import.meta.url).pathname;
      const child = spawn(node.path, [main, 'run', '--log-level', 'warn'], {
        env: { ...process.env, OUTBOX_DATABASE_URL: databaseUrl, TEMPORAL_ADDRESS: server.address },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      return {
        pid: child.pid,
        end: async () => {
          child.kill('SIGTERM');
          await ended;
        },
      };
    },
    close: async () => {
      receiver.kill();
      await temporal.close();
      if (server !== servers.temporal) server.stop();
      await admin.end();
      await servers.stop();
    },
  };
}

function message(child, kind) {
  return new Promise((resolve, reject) => {
    const onExit = (code) =>
      reject(new Error(`${child.spawnargs.at(-1)} ended with ${code} before saying "${kind}"`));
    const onMessage = (received) => {
      if (received.kind !== kind) return;
      child.off('message', onMessage);
      child.off('exit', onExit);
      resolve(received);
    };
    child.on('message', onMessage);
    child.once('exit', onExit);
  });
}

/** The peers' current majors want Node 22 or later; where this one is older, npm brings a newer one for the bench. */
function recentNode(say) {
  if (Number(process.versions.node.split('.')[0]) >= 24)
    return { path: process.execPath, version: process.versions.node };
  say('fetching Node 24 for the benchmark (npm package node@24)');
  const output = execFileSync(
    'npx',
    ['-y', '-p', 'node@24', 'node', '-p', 'process.execPath+" "+process.versions.node'],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  const [path, version] = output.trim().split(' ');
  return { path, version };
}

/** All in one command: an install of one removes those that nothing asks for. */
function fetchPeers(say) {
  const missing = ([name, version]) => {
    const file = join(peersFolder, 'node_modules', name, 'package.json');
    return !existsSync(file) || JSON.parse(readFileSync(file, 'utf8')).version !== version;
  };
  if (!Object.entries(peers).some(missing)) return;
  const wanted = Object.entries(peers).map(([name, version]) => `${name}@${version}`);
  say(`fetching ${wanted.join(', ')}`);
  const quietly = ['--silent', '--no-save', '--no-package-lock', '--prefix', peersFolder];
  execFileSync('npm', ['install', ...quietly, ...wanted], { stdio: 'ignore' });
}
