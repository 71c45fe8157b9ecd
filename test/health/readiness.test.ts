/** /healthz and /readyz while what they look at goes away and comes back. */
import { expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import type { Health } from '../../src/health/checks.ts';
import { urlOfDatabase } from '../support/servers.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  servers,
  startReceiver,
  startRun,
  startTcpProxy,
  type TestDatabase,
} from '../support/index.ts';

const metricsListen = parseListen('127.0.0.1:0');
const ready = { status: 200, body: expect.objectContaining({ ok: true }) as Health };

async function ask(endpoint: string | undefined, path: string): Promise<{ status: number; body: Health }> {
  const response = await fetch(`${endpoint}${path}`);
  return { status: response.status, body: (await response.json()) as Health };
}

async function configured(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  return database;
}

const patient = { timeout: 45_000, interval: 200 };

test('a process that can work says so, check by check', async () => {
  const database = await configured();
  const { endpoints } = await startRun({ databaseUrl: database.url, metricsListen });
  const { metrics } = endpoints;
  expect(await ask(metrics, '/healthz')).toEqual({
    status: 200,
    body: {
      ok: true,
      checks: {
        eventLoop: { ok: true, says: expect.stringMatching(/^late by \d+ ms/) as string },
        worker: { ok: true },
        relay: { ok: true },
      },
    },
  });
  expect(await ask(metrics, '/readyz')).toEqual({
    status: 200,
    body: {
      ok: true,
      checks: {
        database: { ok: true },
        schema: { ok: true },
        configuration: { ok: true, says: 'revision 1' },
        temporal: { ok: true },
        worker: { ok: true },
        lanes: { ok: true, says: 'holds 1' },
      },
    },
  });
});

test('a relay has no worker to be asked about, a worker no lanes', async () => {
  const database = await configured();
  const relay = await startRun({
    databaseUrl: database.url,
    metricsListen,
    roles: { relay: true, worker: false },
  });
  const worker = await startRun({
    databaseUrl: database.url,
    metricsListen,
    roles: { relay: false, worker: true },
  });
  const checksOf = async (endpoint: string | undefined) =>
    Object.keys((await ask(endpoint, '/readyz')).body.checks).filter((name) => /worker|lanes/.test(name));
  expect(await checksOf(relay.endpoints['metrics'])).toEqual(['lanes']);
  expect(await checksOf(worker.endpoints['metrics'])).toEqual(['worker']);
});

test('PostgreSQL away: alive, not ready, without its password; ready when it is back', async () => {
  const database = await configured();
  const { hostname, port, username } = new URL(database.url);
  const password = 'p4ss-word-of-the-database';
  await database.pool.query(`create role "${database.name}" login superuser password '${password}'`);
  const proxy = await startTcpProxy(`${hostname}:${port}`);
  const url = new URL(database.url);
  Object.assign(url, { host: proxy.address, username: database.name, password });
  const running = await startRun({ databaseUrl: url.href, metricsListen });
  const { endpoints } = running;
  expect(await ask(endpoints['metrics'], '/readyz')).toEqual(ready);
  await proxy.become('refuse');
  const refused = await eventually(async () => {
    const answer = await ask(endpoints['metrics'], '/readyz');
    expect(answer).toMatchObject({ status: 503, body: { ok: false, checks: { database: { ok: false } } } });
    expect(answer.body.checks['lanes']?.ok).toBe(false);
    return answer;
  }, patient);
  expect(refused.body.checks).toMatchObject({ temporal: { ok: true }, worker: { ok: true } });
  expect(JSON.stringify(refused.body)).not.toContain(password);
  expect((await ask(endpoints['metrics'], '/healthz')).status).toBe(200);
  const scraped = await (await fetch(`${endpoints['metrics']}/metrics`)).text();
  expect(scraped).toContain('outbox_database_up 0');
  expect(scraped).not.toContain('outbox_lag_seconds');
  expect(scraped).not.toContain(password);
  await proxy.become('pass');
  await eventually(async () => expect(await ask(endpoints['metrics'], '/readyz')).toEqual(ready), patient);
  await running.stop();
  await database.pool.query(`drop role "${database.name}"`);
  expect(username).not.toBe(database.name);
});

test('a server that answers nothing at all is told within seconds', async () => {
  const database = await configured();
  const { hostname, port, pathname } = new URL(database.url);
  const proxy = await startTcpProxy(`${hostname}:${port}`);
  const url = urlOfDatabase(database.url.replace(`${hostname}:${port}`, proxy.address), pathname.slice(1));
  const { endpoints } = await startRun({ databaseUrl: url, metricsListen });
  expect(await ask(endpoints['metrics'], '/readyz')).toEqual(ready);
  await proxy.become('blackhole');
  await eventually(async () => {
    const began = performance.now();
    expect((await ask(endpoints['metrics'], '/readyz')).status).toBe(503);
    expect(performance.now() - began).toBeLessThan(15_000);
  }, patient);
  await proxy.become('pass');
});

test('a database that became read-only is not ready, and is again when it is writable', async () => {
  const database = await configured();
  const { endpoints } = await startRun({ databaseUrl: database.url, metricsListen });
  const others = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
  await database.pool.query(`alter database "${database.name}" set default_transaction_read_only = on`);
  await database.pool.query(others);
  await eventually(async () => {
    const { status, body } = await ask(endpoints['metrics'], '/readyz');
    expect([status, body.checks['database']]).toEqual([
      503,
      { ok: false, says: expect.stringContaining('is read-only') as string },
    ]);
  }, patient);
  await database.pool.query(
    `set default_transaction_read_only = off; alter database "${database.name}" reset default_transaction_read_only`,
  );
  await database.pool.query(others);
  await eventually(async () => expect(await ask(endpoints['metrics'], '/readyz')).toEqual(ready), patient);
});

test('Temporal away: alive, not ready, and ready when it is back; a foreign namespace is told', async () => {
  const database = await configured();
  const proxy = await startTcpProxy(servers().temporalAddress);
  const temporal = {
    address: proxy.address,
    namespace: servers().temporalNamespace,
    ignoreEnvironment: true,
  };
  const { endpoints } = await startRun({ databaseUrl: database.url, temporal, metricsListen });
  expect(await ask(endpoints['metrics'], '/readyz')).toEqual(ready);
  await proxy.become('refuse');
  await eventually(async () => {
    const { status, body } = await ask(endpoints['metrics'], '/readyz');
    expect([status, body.checks['temporal']?.ok, body.checks['database']?.ok]).toEqual([503, false, true]);
    const scraped = await (await fetch(`${endpoints['metrics']}/metrics`)).text();
    expect(scraped).toContain('outbox_temporal_up 0');
  }, patient);
  expect((await ask(endpoints['metrics'], '/healthz')).status).toBe(200);
  await proxy.become('pass');
  await eventually(async () => expect(await ask(endpoints['metrics'], '/readyz')).toEqual(ready), patient);
  await database.pool.query(`update outbox.settings set temporal_namespace_id = 'another'`);
  await eventually(async () => {
    const { body } = await ask(endpoints['metrics'], '/readyz');
    expect(body.checks['temporal']?.says).toContain('another Temporal store');
  });
});

test('a schema that is not this program’s, and no configuration, are not ready', async () => {
  const database = await createTestDatabase();
  const { endpoints } = await startRun({ databaseUrl: database.url, metricsListen });
  expect((await ask(endpoints['metrics'], '/readyz')).body.checks['configuration']).toEqual({
    ok: false,
    says: 'none is applied: temporal-outbox config apply',
  });
  await database.pool.query(
    `insert into outbox.migrations (version, name, checksum) values (9999, 'later', '')`,
  );
  await eventually(async () => {
    const { body } = await ask(endpoints['metrics'], '/readyz');
    expect(body.checks['schema']?.says).toMatch(/version 9999/);
  });
});
