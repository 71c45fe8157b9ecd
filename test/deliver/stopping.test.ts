import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { startTcpProxy } from '../support/tcpProxy.ts';
import { eventuallyStand, openStage } from './stage.ts';

test('a stop begins nothing new, lets requests under way end, and leaves the rest to whoever runs next', async () => {
  const { send, receiver, running, database } = await openStage({
    answer: { status: 204, delayMs: 500 },
    billing: 'concurrency: 5',
  });
  const ids = await send(...Array.from({ length: 40 }, (_, number) => ({ number })));
  await eventually(() => expect(receiver.requests).toHaveLength(5), { interval: 2 });
  await running.stop();
  expect(receiver.requests).toHaveLength(5);
  expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(5);

  receiver.answer(204);
  await startRun({ databaseUrl: database.url });
  await eventuallyStand(database, ids, { state: 'delivered', tries: 1 });
  expect(receiver.requests).toHaveLength(40);
});

test('a request without an answer holds a stop up for the grace time, no longer; it is sent again, uncharged', async () => {
  const { send, receiver, running, database } = await openStage({ answer: 'hang', billing: 'timeout: 25s' });
  const ids = await send({});
  await eventually(() => expect(receiver.requests).toHaveLength(1));
  const stoppedAt = Date.now();
  await running.stop(); // tests give it one second
  expect(Date.now() - stoppedAt).toBeGreaterThanOrEqual(900);
  expect(Date.now() - stoppedAt).toBeLessThan(8_000);

  receiver.answer(204);
  await startRun({ databaseUrl: database.url });
  await eventuallyStand(database, ids, { state: 'delivered', tries: 1 });
  expect(receiver.requests.map(({ attempt }) => attempt)).toEqual([1, 1]);
});

test('a stop ends while PostgreSQL is away; what was sent and not written comes again, uncharged', async () => {
  const database = await createTestDatabase();
  const { host, hostname, port } = new URL(database.url);
  const wire = await startTcpProxy(`${hostname}:${port}`);
  const receiver = await startReceiver({ answer: { status: 204, delayMs: 300 } });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const running = await startRun({ databaseUrl: database.url.replace(host, wire.address) });
  const { id } = await enqueue(
    database.pool,
    { type: 'order.created', payload: {} },
    { ownTransaction: true },
  );
  await eventually(() => expect(receiver.requests).toHaveLength(1), { interval: 2 });
  await wire.become('refuse');
  await running.stop();

  await startRun({ databaseUrl: database.url });
  await eventuallyStand(database, [id], { state: 'delivered', tries: 1 });
  expect(receiver.requests.map(({ attempt }) => attempt)).toEqual([1, 1]);
});
