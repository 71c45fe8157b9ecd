/** One event in one trace, from its insert to its receipt, through a collector; each service a process with an SDK of its own. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { freePort } from '../../src/embedded/ports.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import { launchRedis } from '../support/brokers/redis.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  requires,
  spawnRun,
} from '../support/index.ts';
import { startCollector, type CollectedSpan, type TestCollector } from './collector.ts';
import { onlyWithEverything } from '../support/everything.ts';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const here = import.meta.dirname;
const repository = fileURLToPath(new URL('../..', import.meta.url));
const otel = `--import=${join(here, 'otel.mjs')}`;

const environment = (collector: TestCollector, service: string): Record<string, string> => ({
  OTEL_SERVICE_NAME: service,
  OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  NODE_OPTIONS: otel,
});

/** A service of test/tracing/service.mjs; resolves when it said `until`. Answers the lines before. */
async function service(env: Record<string, string>, until: string): Promise<string[]> {
  const child = spawn(process.execPath, [join(here, 'service.mjs')], {
    cwd: repository,
    env: { PATH: process.env['PATH'], SERVICE: env['OTEL_SERVICE_NAME'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [said, failed] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (said += text.toString()));
  child.stderr.on('data', (text: Buffer) => (failed += text.toString()));
  atEnd(() => void child.kill('SIGKILL'));
  await eventually(() => expect(said, failed).toContain(`${until}\n`), { timeout: 90_000 });
  return said.split('\n').slice(0, -2);
}

test('an event is one trace from its insert to its receipt, over HTTP and a queue, with its retries; a batch links to its events', async () => {
  requires.program('redis-server');
  const collector = await startCollector();
  const [database, redis, port] = await Promise.all([createTestDatabase(), launchRedis(), freePort()]);
  atEnd(() => redis.stop());
  const url = `redis://127.0.0.1:${redis.port}`;
  await migrateInbox(database.pool);
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: 'http://127.0.0.1:${port}/', signing: { scheme: standard-webhooks, secrets: ['env:SECRET'] }, retry: { initialInterval: 100ms } }
      warehouse: { type: redis, url: '${url}', stream: orders }
    routes: [{ match: 'order.*', to: [billing] }, { match: 'order.shaky', to: [warehouse] }]`,
    { SECRET: secret },
  );
  const common = { DATABASE_URL: database.url, SECRET: secret, REDIS_URL: url };
  const start = (name: string, until: string, env: Record<string, string> = {}): Promise<string[]> =>
    service({ ...common, ...environment(collector, name), ...env }, until);
  spawnRun({
    databaseUrl: database.url,
    env: { SECRET: secret, ...environment(collector, 'outbox') },
  });
  await Promise.all([start('billing', 'listening', { PORT: String(port) }), start('stock', 'listening')]);
  const place = async (events: readonly { readonly type: string; readonly span: string }[]) =>
    (await start('shop', 'done', { EVENTS: JSON.stringify(events) })).map(
      (line) => JSON.parse(line) as { readonly id: string; readonly traceId: string },
    );

  const [shaky] = await place([{ type: 'order.shaky', span: 'place order' }]);
  const spans = await eventually(
    async () => {
      const all = (await collector.spans()).filter(({ traceId }) => traceId === shaky?.traceId);
      expect(tree(all)).toEqual([
        'shop: place order',
        '  outbox: claim billing',
        '    outbox: start deliver',
        '  outbox: claim warehouse',
        '    outbox: start deliver',
        // The second attempt reads it again.
        '  outbox: load billing',
        '  outbox: send billing',
        '    billing: process billing',
        '      billing: billing works',
        '  outbox: send billing',
        '    billing: process billing',
        '      billing: billing works',
        '  outbox: send warehouse',
        '    stock: process orders',
        '      stock: stock works',
      ]);
      expect(all).toHaveLength(15);
      return all;
    },
    { timeout: 90_000 },
  );
  const attempts = spans
    .filter(({ name }) => name === 'send billing')
    .toSorted((a, b) => Number(a.attributes['outbox.attempt']) - Number(b.attributes['outbox.attempt']));
  expect(attempts.map(({ attributes, error, kind }) => [attributes, error, kind])).toEqual([
    [
      expect.objectContaining({
        ...{ 'messaging.system': 'temporal_outbox', 'messaging.operation.type': 'send' },
        ...{ 'messaging.destination.name': 'billing', 'messaging.message.id': shaky?.id },
        ...{ 'outbox.attempt': 1, 'error.type': 'http-500', 'http.response.status_code': 500 },
      }),
      expect.stringContaining('500'),
      'client',
    ],
    [expect.objectContaining({ 'outbox.attempt': 2, 'outbox.outcome': 'acknowledged' }), null, 'client'],
  ]);
  expect(spans.find(({ name }) => name === 'send warehouse')).toMatchObject({
    kind: 'producer',
    attributes: { 'messaging.system': 'redis', 'messaging.destination.name': 'orders' },
  });
  expect(spans.find(({ name }) => name === 'process orders')).toMatchObject({
    kind: 'consumer',
    attributes: {
      ...{ 'messaging.system': 'redis', 'messaging.consumer.group.name': 'stock' },
      ...{ 'messaging.message.id': shaky?.id, 'outbox.outcome': 'processed' },
    },
  });

  // The three that were committed together are claimed at once: a trace of its own, which links to theirs, and they to it.
  const together = await place(['one', 'two', 'three'].map((span) => ({ type: 'order.plain', span })));
  const ids = together.map(({ traceId }) => traceId);
  await eventually(
    async () => {
      const all = await collector.spans();
      const claim = all.find(({ name, links }) => name === 'claim billing' && links.length === 3);
      expect(claim?.links.map(({ traceId }) => traceId).toSorted()).toEqual(ids.toSorted());
      expect(claim).toMatchObject({ parentSpanId: '', attributes: { 'messaging.batch.message_count': 3 } });
      const sent = all.filter(({ name, traceId }) => name === 'send billing' && ids.includes(traceId));
      const link = { traceId: claim?.traceId, spanId: claim?.spanId };
      expect(sent.map(({ links }) => links)).toEqual([[link], [link], [link]]);
    },
    { timeout: 30_000 },
  );

  await eventually(
    async () => {
      const figures = await collector.figures();
      expect(figures.get('outbox_deliveries_total{destination="billing",outcome="delivered"}')).toBe(4);
      expect(figures.get('outbox_requests_total{destination="billing",outcome="refused"}')).toBe(1);
      expect(figures.get('outbox_request_duration_seconds_bucket{destination="billing",le="+Inf"}')).toBe(5);
      expect(figures.get('outbox_lag_seconds{destination="billing"}')).toBe(0);
    },
    { timeout: 30_000 },
  );
}, 360_000);

test('where relay and worker are apart, the relay tells of its claim, and the worker of its load', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const collector = await startCollector();
  const [database, port] = await Promise.all([createTestDatabase(), freePort()]);
  await migrateInbox(database.pool);
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: 'http://127.0.0.1:${port}/', signing: { scheme: standard-webhooks, secrets: ['env:SECRET'] } }
    routes: [{ match: 'order.*', to: [billing] }]`,
    { SECRET: secret },
  );
  for (const role of ['relay', 'worker'])
    spawnRun({
      databaseUrl: database.url,
      args: [role],
      env: { SECRET: secret, ...environment(collector, role) },
    });
  const common = { DATABASE_URL: database.url, SECRET: secret };
  await service({ ...common, ...environment(collector, 'billing'), PORT: String(port) }, 'listening');
  const [placed] = await service(
    {
      ...common,
      ...environment(collector, 'shop'),
      EVENTS: JSON.stringify([{ type: 'order.plain', span: 'place order' }]),
    },
    'done',
  );
  const { traceId } = JSON.parse(placed ?? '{}') as { readonly traceId: string };
  await eventually(
    async () => {
      const all = (await collector.spans()).filter((span) => span.traceId === traceId);
      expect(tree(all)).toEqual([
        'shop: place order',
        '  relay: claim billing',
        '    relay: start deliver',
        '  worker: load billing',
        '  worker: send billing',
        '    billing: process billing',
        '      billing: billing works',
      ]);
    },
    { timeout: 90_000 },
  );
}, 360_000);

/** Names below one another; siblings by name, as they are exported in any order. */
function tree(spans: readonly CollectedSpan[], parent = '', indent = ''): string[] {
  return spans
    .filter(({ parentSpanId }) => parentSpanId === parent)
    .map(({ service, name, spanId }) => [
      `${indent}${service}: ${name}`,
      ...tree(spans, spanId, `${indent}  `),
    ])
    .toSorted((one, other) => one.join().localeCompare(other.join()))
    .flat();
}
