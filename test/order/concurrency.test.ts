import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  spawnRun,
  startReceiver,
  startRun,
  type Receiver,
} from '../support/index.ts';
import { configOf } from '../deliver/stage.ts';
import { writeEvents } from '../crash/drain.ts';
import { settled } from './stage.ts';
import { onlyWithEverything } from '../support/everything.ts';

interface Gauge {
  now: number;
  most: number;
}

/** A receiver that takes its time, and counts how many requests are with it. */
async function gaugedReceiver(delayMs: number, answer: (attempt: number) => number = () => 204) {
  const gauge: Gauge = { now: 0, most: 0 };
  const receiver = await startReceiver({
    answer: async ({ attempt }) => {
      gauge.now++;
      gauge.most = Math.max(gauge.most, gauge.now);
      await sleep(delayMs);
      gauge.now--;
      return answer(attempt);
    },
  });
  return { receiver, gauge };
}

test.for([1, 7])(
  'over three processes no more than %i requests are under way, retries included',
  { timeout: 150_000 },
  async (concurrency, context) => {
    if (concurrency === 1) onlyWithEverything(context, 'a sibling is shown');
    const { database, receiver, gauge } = await threeProcesses(concurrency);
    const events = 40 * concurrency;
    await writeEvents(database.pool, events);
    await settled(database, 120_000);
    expect(receiver.requests.length).toBeGreaterThanOrEqual(events * 2);
    expect(gauge.most).toBe(concurrency);
  },
);

async function threeProcesses(concurrency: number) {
  const database = await createTestDatabase();
  // Each event is refused once: retries go to any of the processes.
  const { receiver, gauge } = await gaugedReceiver(20, (attempt) => (attempt === 1 ? 500 : 204));
  await applyTestConfig(
    database,
    configOf(
      receiver.url,
      `concurrency: ${concurrency}, batch: { maximum: 10 }, retry: { initialInterval: 200ms, backoffCoefficient: 1 }`,
    ),
  );
  for (let number = 0; number < 3; number++) spawnRun({ databaseUrl: database.url });
  return { database, receiver, gauge };
}

test('a process alone uses all of it, and asks for it once', async () => {
  const database = await createTestDatabase();
  const { receiver, gauge } = await gaugedReceiver(50);
  await applyTestConfig(database, configOf(receiver.url, 'concurrency: 20'));
  const running = await startRun({ databaseUrl: database.url });
  await writeEvents(database.pool, 200);
  await settled(database);
  expect(gauge.most).toBe(20);
  const [share] = await database.rows<{ slots: number; wanted_at: Date }>(
    'select slots, wanted_at from outbox.shares',
  );
  expect(share?.slots).toBe(20);
  await writeEvents(database.pool, 50);
  await settled(database);
  expect(await database.rows('select slots, wanted_at from outbox.shares')).toEqual([share]);
  await running.stop();
  expect(await database.rows('select * from outbox.workers')).toEqual([]);
});

test('a killed process’s share is free when it has not been heard of for some seconds', async (context) => {
  onlyWithEverything(context, 'kills');
  const database = await createTestDatabase();
  const { receiver, gauge } = await gaugedReceiver(300);
  await applyTestConfig(database, configOf(receiver.url, 'concurrency: 2'));
  const killed = spawnRun({ databaseUrl: database.url });
  await writeEvents(database.pool, 20);
  await eventually(() => expect(receiver.requests.length).toBeGreaterThanOrEqual(4), { timeout: 20_000 });
  await killed.kill();
  spawnRun({ databaseUrl: database.url });
  await settled(database);
  expect(gauge.most).toBeLessThanOrEqual(2);
}, 90_000);

test('a destination that takes ten seconds an answer delays no other', async () => {
  const database = await createTestDatabase();
  const slow = await gaugedReceiver(10_000);
  const quick: Receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations:
      slow-1: { type: http, url: '${slow.receiver.url}' }
      slow-2: { type: http, url: '${slow.receiver.url}' }
      slow-3: { type: http, url: '${slow.receiver.url}' }
      slow-4: { type: http, url: '${slow.receiver.url}' }
      quick: { type: http, url: '${quick.url}' }
    routes:
      - { match: '*', to: [slow-1, slow-2, slow-3, slow-4] }
      - { match: '*', to: [quick] }`,
  );
  await startRun({ databaseUrl: database.url });
  const delays: number[] = [];
  for (let round = 0; round < 60; round++) {
    const writtenAt = Date.now();
    await writeEvents(database.pool, 1);
    await eventually(() => expect(quick.requests.length).toBe(round + 1), { interval: 5, timeout: 15_000 });
    delays.push(Date.now() - writtenAt);
    await sleep(150);
  }
  delays.sort((a, b) => a - b);
  console.log(
    `beside four destinations that take 10 s: median ${delays[30]} ms, most ${delays.at(-1)} ms; ${slow.gauge.most} with the slow ones`,
  );
  expect(slow.gauge.most).toBeGreaterThan(60);
  expect(delays[30]).toBeLessThan(1_000);
  expect(delays.at(-1)).toBeLessThan(4_000);
}, 120_000);
