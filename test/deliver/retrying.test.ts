import { expect, test } from 'vitest';
import { inTurn } from '../support/index.ts';
import { eventuallyStand, gapsOf, openStage, standings } from './stage.ts';

/** Later than told by at most this: Temporal fires timers up to a second late, and the machine is busy with other tests. */
const lateMs = 2_500;

test('exponential backoff is kept: no try comes before its time', async () => {
  const { send, receiver, database } = await openStage({
    answer: 500,
    billing:
      'retry: { initialInterval: 200ms, backoffCoefficient: 2, maximumInterval: 500ms, maximumAttempts: 5, jitter: 0 }',
  });
  const [id = ''] = await send({});
  await eventuallyStand(database, [id], {
    state: 'parked',
    tries: 5,
    attempts: 5,
    reason: 'attempts-exhausted',
  });
  for (const [index, plain] of [200, 400, 500, 500].entries()) {
    expect(gapsOf(receiver, id)[index]).toBeGreaterThanOrEqual(plain);
    expect(gapsOf(receiver, id)[index]).toBeLessThan(plain + lateMs);
  }
});

test('a schedule is followed entry by entry, the last one repeated', async () => {
  const { send, receiver, database } = await openStage({
    answer: 500,
    billing: 'retry: { schedule: [1500ms, 50ms, 1600ms], maximumAttempts: 5, jitter: 0 }',
  });
  const [id = ''] = await send({});
  await eventuallyStand(database, [id], { state: 'parked', tries: 5 });
  const gaps = gapsOf(receiver, id);
  for (const [index, plain] of [1_500, 50, 1_600, 1_600].entries())
    expect(gaps[index]).toBeGreaterThanOrEqual(plain);
  expect(gaps[1]).toBeLessThan(1_500);
});

test('jitter stays within its band', async () => {
  const { send, receiver, database } = await openStage({
    answer: 500,
    billing:
      'retry: { initialInterval: 600ms, backoffCoefficient: 1, maximumAttempts: 2, jitter: 0.5 }, batch: { maximum: 1, inFlight: 8 }',
  });
  const ids = await send(...Array.from({ length: 12 }, (_, number) => ({ number })));
  await eventuallyStand(database, ids, { state: 'parked', tries: 2 });
  const gaps = ids.map((id) => gapsOf(receiver, id)[0] ?? 0);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(300);
  expect(Math.max(...gaps)).toBeLessThan(900 + lateMs);
  // Twelve draws from a band of 600 ms: not all alike.
  expect(Math.max(...gaps) - Math.min(...gaps)).toBeGreaterThan(50);
});

test('maximumAttempts counts the first one, and is exact', async () => {
  const { send, receiver, database } = await openStage({
    answer: 409,
    billing: 'retry: { initialInterval: 20ms, maximumAttempts: 3 }',
  });
  const ids = await send({}, {});
  await eventuallyStand(database, ids, {
    state: 'parked',
    tries: 3,
    attempts: 3,
    reason: 'attempts-exhausted',
  });
  for (const id of ids) expect(receiver.of(id)).toHaveLength(3);
});

test('a status in nonRetryableStatusCodes parks at once, one that is not is tried again', async () => {
  const { send, database } = await openStage({
    billing: 'retry: { initialInterval: 1h, maximumInterval: 1h, nonRetryableStatusCodes: [418, 503] }',
  });
  const ids = await send({ answer: 418 }, { answer: 503 }, { answer: 422 }, { answer: 404 });
  await eventuallyStand(database, ids, [
    { state: 'parked', reason: 'permanent', attempts: 1 },
    { state: 'parked', reason: 'permanent', attempts: 1 },
    { state: 'retry', attempts: 1 },
    { state: 'retry', attempts: 1 },
  ]);
});

test('Retry-After is waited for, as a number of seconds and as a date, and never undercut', async () => {
  const inTwoSeconds = new Date(Date.now() + 3_000).toUTCString();
  const { send, receiver, database } = await openStage({
    answer: ({ attempt, body }) => {
      const header = (JSON.parse(body.toString()) as { after: string }).after;
      return attempt === 1 ? { status: 503, headers: { 'retry-after': header } } : 204;
    },
    billing: 'retry: { initialInterval: 20ms, jitter: 0.5 }',
  });
  const [seconds = '', date = ''] = await send({ after: '2' }, { after: inTwoSeconds });
  await eventuallyStand(database, [seconds, date], { state: 'delivered', tries: 2 });
  expect(gapsOf(receiver, seconds)[0]).toBeGreaterThanOrEqual(2_000);
  expect(receiver.of(date)[1]?.receivedAtMs).toBeGreaterThanOrEqual(Date.parse(inTwoSeconds));
});

test('Retry-After is clamped to retryAfter.maximum, and may be told to be ignored', async () => {
  const answer = inTurn({ status: 503, headers: { 'retry-after': '3600' } }, 204);
  const clamped = await openStage({
    answer,
    billing: 'retry: { initialInterval: 20ms, retryAfter: { maximum: 1s } }',
  });
  const [id = ''] = await clamped.send({});
  await eventuallyStand(clamped.database, [id], { state: 'delivered' });
  expect(gapsOf(clamped.receiver, id)[0]).toBeGreaterThanOrEqual(1_000);

  const ignoring = await openStage({
    answer: inTurn({ status: 503, headers: { 'retry-after': '3600' } }, 204),
    billing: 'retry: { initialInterval: 20ms, retryAfter: { honor: false } }',
  });
  await eventuallyStand(ignoring.database, await ignoring.send({}), { state: 'delivered' });
});

test('being unreachable spends no attempts: a refusal after it is the first charged one', async () => {
  const { send, database } = await openStage({
    answer: inTurn(503, 502, 'reset', 504, 429, 500, 204),
    billing: 'retry: { initialInterval: 20ms, backoffCoefficient: 1, maximumAttempts: 2 }',
  });
  const ids = await send({});
  await eventuallyStand(database, ids, { state: 'delivered', tries: 7 });
  const charged = await database.rows('select status from outbox.attempts where charged');
  expect(charged).toEqual([{ status: 500 }]);
});

test('scheduleToCloseTimeout parks an unreachable event: the next try would come too late', async () => {
  const { send, database, receiver } = await openStage({
    answer: 503,
    billing:
      'timeout: 500ms, retry: { initialInterval: 300ms, backoffCoefficient: 1, jitter: 0, scheduleToCloseTimeout: 3s }',
  });
  const ids = await send({});
  await eventuallyStand(database, ids, { state: 'parked', attempts: 0, reason: 'schedule-to-close' });
  const [{ tries } = { tries: 0 }] = await standings(database, ids);
  expect(tries).toBeGreaterThanOrEqual(2);
  expect(tries).toBeLessThanOrEqual(11);
  const [first, last] = [receiver.requests[0], receiver.requests.at(-1)];
  expect((last?.receivedAtMs ?? 0) - (first?.receivedAtMs ?? 0)).toBeLessThanOrEqual(3_000 + lateMs);
});
