/** A Temporal server as companies run it, its state in PostgreSQL, where the benchmark usually has the development server, its state in memory. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import pg from 'pg';
import { freePort } from '../../dist/src/embedded/ports.js';

const version = '1.32.0';
const startMs = 60_000;
const retentionSeconds = 86_400;

/**
 * One process of all four services, its databases beside those of the benchmark in the same PostgreSQL, whose figures then hold its share too.
 * The programs are the project's own, compiled once by Go into `folder`.
 */
export async function startTemporalOnPostgres(postgresUrl, folder, say) {
  const programs = compiled(join(folder, `temporal-${version}`), say);
  const url = new URL(postgresUrl);
  await makeDatabases(programs.sql, url, say);
  // Temporal keeps those of its members as smallint: these are below 32,768.
  const found = new Set();
  while (found.size < 9) found.add(await freePort());
  const ports = [...found];
  const settings = mkdtempSync(join(tmpdir(), 'outbox-bench-temporal-'));
  const file = join(settings, 'temporal.yaml');
  writeFileSync(file, JSON.stringify(configOf(url, ports), null, 2));
  const child = spawn(programs.server, ['--config-file', file, '--allow-no-auth', 'start'], {
    stdio: 'ignore',
  });
  const stop = () => {
    child.kill('SIGKILL');
    rmSync(settings, { recursive: true, force: true });
  };
  process.once('exit', stop);
  const address = `127.0.0.1:${ports[0]}`;
  await makeNamespace(address, child);
  say(`Temporal ${version} on PostgreSQL serves at ${address}`);
  return { address, pid: child.pid, stop };
}

function compiled(folder, say) {
  const programs = { server: join(folder, 'server'), sql: join(folder, 'sql') };
  if (Object.values(programs).every((path) => existsSync(path))) return programs;
  say(`compiling Temporal ${version} for the benchmark (minutes)`);
  mkdirSync(folder, { recursive: true });
  const packages = ['server', 'tools/sql'].map((name) => `go.temporal.io/server/cmd/${name}@v${version}`);
  for (const name of packages)
    execFileSync('go', ['install', name], {
      env: { ...process.env, GOBIN: folder, CGO_ENABLED: '0' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  return programs;
}

async function makeDatabases(tool, { hostname, port, username, password, href }, say) {
  const admin = new pg.Client(href);
  await admin.connect();
  for (const [database, schema] of [
    ['temporal', 'postgresql/v12/temporal'],
    ['temporal_visibility', 'postgresql/v12/visibility'],
  ]) {
    await admin.query(`create database ${database}`);
    const common = ['--plugin', 'postgres12', '--ep', hostname, '--port', port, '--user', username];
    const env = { ...process.env, SQL_PASSWORD: decodeURIComponent(password) };
    for (const command of [
      ['setup-schema', '--version', '0.0'],
      ['update-schema', '--schema-name', schema],
    ])
      execFileSync(tool, [...common, '--database', database, ...command], {
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    say(`Temporal's database ${database} is there`);
  }
  await admin.end();
}

function configOf({ hostname, port, username, password }, [frontend, ...ports]) {
  const sql = (databaseName, maxConns) => ({
    sql: {
      pluginName: 'postgres12',
      databaseName,
      connectAddr: `${hostname}:${port}`,
      connectProtocol: 'tcp',
      user: username,
      password: decodeURIComponent(password),
      maxConns,
      maxIdleConns: maxConns,
      maxConnLifetime: '1h',
    },
  });
  const service = (grpcPort) => ({ rpc: { grpcPort, membershipPort: ports.pop(), bindOnLocalHost: true } });
  return {
    log: { stdout: true, level: 'error' },
    persistence: {
      defaultStore: 'default',
      visibilityStore: 'visibility',
      numHistoryShards: 4,
      datastores: { default: sql('temporal', 20), visibility: sql('temporal_visibility', 5) },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: {
      frontend: service(frontend),
      matching: service(ports.pop()),
      history: service(ports.pop()),
      worker: service(ports.pop()),
    },
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: 'active',
      currentClusterName: 'active',
      clusterInformation: {
        active: {
          enabled: true,
          initialFailoverVersion: 1,
          rpcName: 'frontend',
          rpcAddress: `127.0.0.1:${frontend}`,
        },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
  };
}

async function makeNamespace(address, child) {
  const until = Date.now() + startMs;
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: '2s' });
      const { workflowService } = connection;
      await workflowService
        .registerNamespace({
          namespace: 'default',
          workflowExecutionRetentionPeriod: { seconds: retentionSeconds },
        })
        .catch((error) => {
          if (!/already/i.test(error.message)) throw error;
        });
      // It is known everywhere after a refresh of a cache.
      await workflowService.countWorkflowExecutions({ namespace: 'default' });
      await connection.close();
      return;
    } catch (error) {
      if (child.exitCode !== null) throw new Error(`Temporal ended with ${child.exitCode}`, { cause: error });
      if (Date.now() > until) throw error;
      await sleep(500);
    }
  }
}
