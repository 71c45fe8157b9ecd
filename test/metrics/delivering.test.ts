/** What /metrics says while deliveries succeed, are parked, and find nobody; compared with the tables. */
import { expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { scrape } from './scrape.ts';
import { partitionDaysAhead } from '../support/everything.ts';

const anywhere = parseListen('127.0.0.1:0');

test('delivered, retried and parked are counted as the tables have them', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver({
    answer: ({ body, attempt }) => {
      const { kind } = JSON.parse(body.toString()) as { kind: string };
      if (kind === 'bad') return 422;
      return kind === 'shaky' && attempt === 1 ? 500 : 204;
    },
  });
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver.url}', retry: { initialInterval: 100ms } }
      quiet: { type: http, url: '${receiver.url}' }
    routes: [{ match: 'order.*', to: [billing] }]`,
  );
  const kinds = [...Array<string>(250).fill('good'), 'shaky', 'shaky', 'bad', 'bad', 'bad'];
  await enqueue(
    database.pool,
    [
      ...kinds.map((kind) => ({ type: 'order.created', payload: { kind } })),
      { type: 'order.later', payload: { kind: 'good' }, deliverAt: new Date(Date.now() + 3_600_000) },
      { type: 'log.x"y', payload: 1 },
      { type: 'log.x"y', payload: 1 },
    ],
    { ownTransaction: true },
  );
  const { endpoints } = await startRun({ databaseUrl: database.url, metricsListen: anywhere });
  const done = await eventually(async () => {
    const found = await scrape(endpoints['metrics']);
    expect(found.value('outbox_deliveries', { destination: 'billing', state: 'parked' })).toBe(3);
    expect(found.value('outbox_deliveries_total', { outcome: 'delivered' })).toBe(252);
    // Lanes are read anew a moment after the counts, on a busy machine.
    expect(found.value('outbox_lag_seconds', { destination: 'billing' })).toBe(0);
    return found;
  });
  const [{ delivered, parked }] = (await database.rows<{ delivered: number; parked: number }>(
    `select (select count(*) from outbox.delivered)::int as delivered,
            (select count(*) from outbox.dead_letters where resolved_at is null)::int as parked`,
  )) as [{ delivered: number; parked: number }];
  const billing = { destination: 'billing' };
  expect(done.value('outbox_deliveries_total', { ...billing, outcome: 'delivered' })).toBe(delivered);
  expect(done.value('outbox_deliveries_total', { ...billing, outcome: 'parked' })).toBe(parked);
  expect(done.value('outbox_deliveries_total', { ...billing, outcome: 'retried' })).toBe(2);
  expect(done.value('outbox_requests_total', { ...billing, outcome: 'acknowledged' })).toBe(252);
  expect(done.value('outbox_requests_total', { ...billing, outcome: 'refused' })).toBe(5);
  expect(done.value('outbox_request_duration_seconds_count', billing)).toBe(receiver.requests.length);
  expect(done.value('outbox_request_duration_seconds_bucket', { ...billing, le: '+Inf' })).toBe(257);
  expect(done.value('outbox_batch_rows_sum')).toBe(255);
  expect(done.value('outbox_workflow_starts_total', { outcome: 'started' })).toBe(
    done.value('outbox_batch_rows_count'),
  );
  expect(done.value('outbox_flush_duration_seconds_count')).toBeGreaterThan(0);
  expect(done.value('outbox_poll_duration_seconds_count')).toBeGreaterThan(2);
  expect(done.value('outbox_requests_in_flight')).toBe(0);
  // An hour until its time is no lag; nothing else waits.
  expect(done.value('outbox_lag_seconds', billing)).toBe(0);
  expect(done.value('outbox_lag_seconds', { destination: 'quiet' })).toBe(0);
  expect(done.value('outbox_deliveries', { ...billing, state: 'scheduled' })).toBe(1);
  expect(done.value('outbox_unrouted_events', { type: 'log.x\\"y' })).toBe(2);
  expect(done.value('outbox_relays')).toBe(1);
  expect(done.value('outbox_relay_lanes')).toBe(2);
  expect(done.value('outbox_lanes', { held: 'no' })).toBe(0);
  expect(done.value('outbox_partitions_ahead')).toBe(partitionDaysAhead);
  expect(done.value('outbox_oldest_transaction_seconds')).toBeGreaterThanOrEqual(0);
  expect(done.value('outbox_dead_tuples', { table: 'deliveries' })).toBeGreaterThanOrEqual(0);
  for (const name of ['outbox_database_up', 'outbox_temporal_up', 'outbox_worker_up'])
    expect(done.value(name), name).toBe(1);
  // Of the process: memory, event loop.
  expect(done.value('process_resident_memory_bytes')).toBeGreaterThan(1e6);
  expect(done.value('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThan(0);
});

test('lag is the age of the oldest due delivery, by the database’s clock', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' }, other: { type: http, url: '${receiver.url}' } }
    routes: [{ match: 'order.*', to: [billing] }, { match: 'late.*', to: [other] }]`,
  );
  await database.pool.query(
    `insert into outbox.events (type, payload, created_at) values ('order.a', '1', now() - interval '100 s'), ('order.b', '1', now())`,
  );
  // Written a day ago for five seconds ago: it is five seconds late, not a day.
  await database.pool.query(
    `insert into outbox.events (type, payload, created_at, deliver_at) values ('late.a', '1', now() - interval '1 day', now() - interval '5 s')`,
  );
  await database.pool.query(`update outbox.destinations set paused_at = now(), paused_reason = 'test'`);
  const { endpoints } = await startRun({ databaseUrl: database.url, metricsListen: anywhere });
  const found = await scrape(endpoints['metrics']);
  const lag = found.value('outbox_lag_seconds', { destination: 'billing' }) ?? NaN;
  expect(lag).toBeGreaterThanOrEqual(100);
  expect(lag).toBeLessThan(160);
  const late = found.value('outbox_lag_seconds', { destination: 'other' }) ?? NaN;
  expect(late).toBeGreaterThanOrEqual(5);
  expect(late).toBeLessThan(65);
  expect(found.value('outbox_destination_state', { destination: 'billing', state: 'paused' })).toBe(1);
});

test('traceparent goes all the way from the row to the receiver', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  await database.pool.query(
    `insert into outbox.events (type, payload, headers) values ('order.a', '1', $1)`,
    [{ traceparent }],
  );
  await startRun({ databaseUrl: database.url });
  await eventually(() => expect(receiver.requests[0]?.headers).toMatchObject({ traceparent }));
});

test('a claimed delivery that does not get on lags too', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 'hang' });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', timeout: 40s } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const { endpoints } = await startRun({ databaseUrl: database.url, metricsListen: anywhere });
  await enqueue(database.pool, { type: 'order.a', payload: 1 }, { ownTransaction: true });
  await eventually(() => expect(receiver.requests).toHaveLength(1));
  await eventually(async () => {
    const found = await scrape(endpoints['metrics']);
    expect(found.value('outbox_lag_seconds')).toBeGreaterThan(1);
    expect(found.value('outbox_requests_in_flight')).toBe(1);
    expect(found.value('outbox_deliveries', { state: 'delivering' })).toBe(1);
  });
});

test('a receiver that nobody reaches: unreachable, retried, nothing parked', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await receiver.stop();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', retry: { initialInterval: 1m } } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const { endpoints } = await startRun({ databaseUrl: database.url, metricsListen: anywhere });
  await enqueue(database.pool, { type: 'order.a', payload: 1 }, { ownTransaction: true });
  await eventually(async () => {
    const found = await scrape(endpoints['metrics']);
    expect(found.value('outbox_requests_total', { outcome: 'unreachable' })).toBe(1);
    expect(found.value('outbox_deliveries_total', { outcome: 'parked' })).toBe(0);
  });
});
