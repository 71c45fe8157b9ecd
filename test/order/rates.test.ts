import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
  type Receiver,
} from '../support/index.ts';
import { configOf, openStage } from '../deliver/stage.ts';
import { writeEvents } from '../crash/drain.ts';
import { settled } from './stage.ts';
import { onlyWithEverything } from '../support/everything.ts';

/** The most requests that came within any window of so many milliseconds. */
function mostWithin(receiver: Receiver, windowMs: number): number {
  const times = receiver.requests.map(({ receivedAtMs }) => receivedAtMs).sort((a, b) => a - b);
  let most = 0;
  for (let first = 0, last = 0; last < times.length; last++) {
    while ((times[last] ?? 0) - (times[first] ?? 0) >= windowMs) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

/**
 * What a limit of so many a second lets through in a window: a quarter second's worth may have been saved up, and a busy machine stamps what
 * came in a second and a quarter before the window's begin within it, in a crowd. Two senders that each took the whole rate would send more.
 */
function bound(perSecond: number, windowMs: number): number {
  return perSecond * (windowMs / 1_000 + 0.25 + 1.25);
}

function secondsOf(receiver: Receiver): number {
  const times = receiver.requests.map(({ receivedAtMs }) => receivedAtMs);
  return (Math.max(...times) - Math.min(...times)) / 1000;
}

test('two processes together keep to the rate, retries included, and come near it', async (context) => {
  onlyWithEverything(context, 'it takes half a minute');
  const database = await createTestDatabase();
  // Every fourth event is refused once.
  const receiver = await startReceiver({
    answer: ({ attempt, body }) =>
      attempt === 1 && (JSON.parse(body.toString()) as { number: number }).number % 4 === 0 ? 500 : 204,
  });
  await applyTestConfig(
    database,
    configOf(
      receiver.url,
      'rateLimit: { limit: 60, per: 1s }, retry: { initialInterval: 300ms, backoffCoefficient: 1 }',
    ),
  );
  await writeEvents(database.pool, 480);
  for (let number = 0; number < 2; number++) spawnRun({ databaseUrl: database.url });
  await settled(database);
  expect(receiver.requests).toHaveLength(600);
  expect(mostWithin(receiver, 4_000)).toBeLessThanOrEqual(bound(60, 4_000));
  const seconds = secondsOf(receiver);
  expect(seconds).toBeGreaterThan(8.5);
  expect(seconds).toBeLessThan(60);
  // The last one stays open for a moment, as more may come.
  await eventually(async () => expect(await database.rows('select 1 from outbox.batches')).toEqual([]));
}, 90_000);

test('a crowd of retries keeps to the rate, and first attempts are not starved for good', async () => {
  let sick = true;
  const { database, receiver } = await openStage({
    answer: () => (sick ? 503 : 204),
    billing:
      'rateLimit: { limit: 40, per: 1s }, retry: { initialInterval: 500ms, backoffCoefficient: 1, jitter: 0 }',
  });
  await writeEvents(database.pool, 100);
  await eventually(() => expect(receiver.requests.length).toBeGreaterThanOrEqual(150), { timeout: 30_000 });
  sick = false;
  await writeEvents(database.pool, 20);
  await settled(database);
  expect(mostWithin(receiver, 3_000)).toBeLessThanOrEqual(bound(40, 3_000));
}, 60_000);

test('a rate below one a second spaces requests out, and a single event waits for none', async () => {
  const { database, receiver, send } = await openStage({
    answer: 204,
    billing: 'rateLimit: { limit: 20, per: 30s }',
  });
  const writtenAt = Date.now();
  await send({});
  await eventually(() => expect(receiver.requests).toHaveLength(1));
  expect(Date.now() - writtenAt).toBeLessThan(5_000);
  await send({}, {}, {});
  await settled(database);
  const times = receiver.requests.map(({ receivedAtMs }) => receivedAtMs);
  expect(times).toHaveLength(4);
  // Each 1.5 s after the one before; a busy machine stamps some of them late, and the last one never early.
  expect((times[3] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(3_500);
}, 60_000);

test('scheduled events arrive when they are due, in bulk', async () => {
  const { database, receiver } = await openStage({ answer: 204 });
  await database.pool.query(
    `insert into outbox.events (type, payload, deliver_at)
     select 'a', '{}', now() + interval '3 s' from generate_series(1, 3000)`,
  );
  const [{ due } = { due: 0 }] = await database.rows<{ due: number }>(
    'select (extract(epoch from max(deliver_at)) * 1000)::float8 as due from outbox.events',
  );
  await sleep(1_000);
  expect(receiver.requests).toHaveLength(0);
  await settled(database);
  const times = receiver.requests.map(({ receivedAtMs }) => receivedAtMs);
  expect(times).toHaveLength(3_000);
  expect(Math.min(...times)).toBeGreaterThanOrEqual(due - 5);
  expect(Math.min(...times)).toBeLessThan(due + 3_000);
  expect(Math.max(...times)).toBeLessThan(due + 20_000);
}, 60_000);

test('scheduled events that become due together still keep to the rate', async () => {
  const { database, receiver } = await openStage({
    answer: 204,
    billing: 'rateLimit: { limit: 50, per: 1s }',
  });
  await database.pool.query(
    `insert into outbox.events (type, payload, deliver_at)
     select 'a', '{}', now() + interval '1 s' from generate_series(1, 200)`,
  );
  await settled(database);
  expect(receiver.requests).toHaveLength(200);
  expect(mostWithin(receiver, 2_000)).toBeLessThanOrEqual(bound(50, 2_000));
  expect(secondsOf(receiver)).toBeGreaterThan(3);
}, 60_000);
