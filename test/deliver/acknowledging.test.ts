import { beforeAll, expect, test } from 'vitest';
import { eventuallyStand, openStage, standings, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({
    billing: 'timeout: 1s, retry: { maximumAttempts: 1, nonRetryableStatusCodes: [] }',
  });
});

test.for([200, 201, 202, 204, 206, 226, 299])('%i acknowledges', async (answer) => {
  const ids = await stage.send({ answer });
  await eventuallyStand(stage.database, ids, { state: 'delivered', tries: 1 });
});

test('2xx acknowledges whatever its body says', async () => {
  const ids = await stage.send({ answer: { status: 200, body: '{"error": "no' } });
  await eventuallyStand(stage.database, ids, { state: 'delivered' });
});

test.for([300, 301, 302, 304, 307, 308, 400, 401, 404, 409, 410, 418, 422, 451, 500, 501, 505, 599])(
  '%i does not acknowledge: charged, and parked when attempts are used up',
  async (answer) => {
    const ids = await stage.send({ answer });
    await eventuallyStand(stage.database, ids, { state: 'parked', tries: 1, attempts: 1 });
  },
);

test.for([429, 502, 503, 504, 'reset', 'hang'])(
  '%s does not acknowledge: the destination is unreachable, and the event is not charged',
  async (answer) => {
    const ids = await stage.send({ answer });
    await eventuallyStand(stage.database, ids, { state: 'retry', tries: 1, attempts: 0, reason: null });
  },
);

test('a redirect is not followed', async () => {
  const elsewhere = stage.receiver.url.replace('/hook', '/elsewhere');
  const ids = await stage.send({ answer: { status: 302, headers: { location: elsewhere } } });
  await eventuallyStand(stage.database, ids, { state: 'parked', reason: 'permanent' });
  expect(stage.receiver.requests.filter(({ path }) => path === '/elsewhere')).toEqual([]);
});

test('a receiver that nobody listens for is unreachable, and no attempt is spent however often it is tried', async () => {
  const down = await openStage({
    billing: 'retry: { initialInterval: 50ms, backoffCoefficient: 1, maximumAttempts: 2 }',
  });
  await down.receiver.stop();
  const ids = await down.send({});
  await expect
    .poll(async () => (await standings(down.database, ids))[0]?.tries, { timeout: 20_000 })
    .toBeGreaterThanOrEqual(5);
  expect(await standings(down.database, ids)).toMatchObject([{ state: 'retry', attempts: 0 }]);
});
