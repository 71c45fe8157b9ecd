/** Receivers that are well and ask for time: 429 or 503 with Retry-After. */
import { expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, runCli, spawnRun, type Answer } from '../support/index.ts';
import { allDelivered, auditOf, charged, command, deadLetters, openStage, stands } from './stage.ts';
import { onlyWithEverything } from '../support/everything.ts';

const perSecond = 20;

/** Lets twenty requests through in each second; the others are told to come again in the next one. */
function limitedReceiver(): { answer: () => Answer; refused: () => number } {
  let second = 0;
  let taken = 0;
  let refused = 0;
  return {
    answer: () => {
      const now = Math.floor(Date.now() / 1_000);
      if (now !== second) [second, taken] = [now, 0];
      if (taken++ < perSecond) return 204;
      refused++;
      return { status: 429, headers: { 'retry-after': '1' } };
    },
    refused: () => refused,
  };
}

test('200 events for a receiver that takes 20 a second: all delivered, nothing charged, few in vain, its circuit closed', async () => {
  const limit = limitedReceiver();
  const stage = await openStage({ answer: limit.answer });
  const { database } = stage;
  const ids = await stage.send(200);
  // Others do not wait with it.
  await stage.sendHealthy(20).then((others) => allDelivered(database, others));
  await allDelivered(database, ids, { timeout: 90_000, interval: 200 });
  expect([await charged(database), await deadLetters(database)]).toEqual([0, 0]);
  expect(await auditOf(database)).toEqual([]);
  // The first fifty went out at once: nobody knew yet.
  expect(limit.refused()).toBeLessThan(80);
  expect(stage.billing.requests).toHaveLength(200 + limit.refused());
}, 120_000);

test('the same with two processes, and with the circuit off', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const limit = limitedReceiver();
  const stage = await openStage({ answer: limit.answer, circuit: 'enabled: false', run: false });
  const ids = await stage.send(100);
  for (let number = 0; number < 2; number++) spawnRun({ databaseUrl: stage.database.url });
  await allDelivered(stage.database, ids, { timeout: 90_000, interval: 200 });
  expect([await charged(stage.database), await deadLetters(stage.database)]).toEqual([0, 0]);
  expect(limit.refused()).toBeLessThan(100);
}, 120_000);

test('it is left in peace for as long as it asked, which the list shows; resume does not wait', async () => {
  const stage = await openStage({ answer: { status: 503, headers: { 'retry-after': '600' } } });
  const { database, billing } = stage;
  const [first = ''] = await stage.send(1);
  await eventually(async () => expect((await stage.standing()).waitUntil).not.toBeNull());
  const { state, waitUntil } = await stage.standing();
  expect(state).toBe('closed');
  expect(Date.parse(waitUntil ?? '') - Date.now()).toBeGreaterThan(500_000);
  const later = await stage.send(30);
  await sleep(2_500);
  expect(billing.requests).toHaveLength(1);
  expect(await database.rows('select state, count(*)::int as n from outbox.deliveries group by 1')).toEqual([
    { state: 'pending', n: 31 },
  ]);

  const listed = await runCli(['destinations', 'list', '--json'], { databaseUrl: database.url });
  expect((JSON.parse(listed.stdout) as { items: object[] }).items).toContainEqual(
    expect.objectContaining({
      destination: 'billing',
      state: 'closed',
      waitUntil: expect.any(String) as string,
    }),
  );
  const spoken = await runCli(['destinations', 'list'], { databaseUrl: database.url });
  expect(spoken.stdout).toMatch(/billing +closed .*it asked for time until 2\d{3}-/);

  billing.answer(204);
  expect(await command(stage, 'resume')).toMatchObject({ outcome: 'done' });
  await allDelivered(database, [first, ...later]);
  expect(await charged(database)).toBe(0);
});

test('who answers nothing else is sick in the end: the circuit opens, and its probes come as asked', async () => {
  const stage = await openStage({ answer: { status: 429, headers: { 'retry-after': '1' } } });
  const ids = await stage.send(100);
  const { reason } = await stands(stage, 'open', { timeout: 60_000 });
  expect(reason).toBe('unreachable 5 times in a row');
  // Fifty at first, six, and then one at a time.
  expect(stage.billing.requests.length).toBeLessThan(120);
  stage.billing.answer(204);
  await allDelivered(stage.database, ids, { timeout: 60_000 });
  expect(await charged(stage.database)).toBe(0);
}, 120_000);

test('an event that failed for its own part keeps its own time, while its lane waits again and again', async () => {
  const limit = limitedReceiver();
  const stage = await openStage({
    answer: ({ body }) => (body.toString().includes('bad') ? 500 : limit.answer()),
    billing: 'ordering: key, retry: { initialInterval: 1h, maximumAttempts: 3 }',
  });
  const bad = await stage.send(1, { bad: true });
  const good = await stage.send(60);
  await allDelivered(stage.database, good, { timeout: 60_000, interval: 200 });
  expect(stage.billing.of(bad[0] ?? '')).toHaveLength(1);
  expect(await stage.database.rows('select state, attempts from outbox.deliveries')).toEqual([
    { state: 'retry', attempts: 1 },
  ]);
}, 90_000);

test('time goes on while it waits: an event that is out of its time is parked', async () => {
  const stage = await openStage({
    answer: { status: 503, headers: { 'retry-after': '2' } },
    billing: 'retry: { initialInterval: 1s, scheduleToCloseTimeout: 3s }, timeout: 1s',
    circuit: 'enabled: false',
  });
  await stage.send(2);
  await eventually(async () => expect(await deadLetters(stage.database)).toBe(2), { timeout: 30_000 });
  expect(await stage.database.rows('select distinct reason, attempts from outbox.dead_letters')).toEqual([
    { reason: 'schedule-to-close', attempts: 0 },
  ]);
}, 60_000);
