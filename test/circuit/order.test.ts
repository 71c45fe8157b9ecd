import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { allDelivered, charged, command, openStage, stands, type Stage } from './stage.ts';

const keys = 30;
const perKey = 12;

/** Events of thirty keys in turn; answers their ids and, for each, its place within its key. */
async function sendKeyed(
  stage: Stage,
): Promise<{ ids: string[]; placeOf: Map<string, [key: string, place: number]> }> {
  const events = Array.from({ length: keys * perKey }, (_, number) => ({
    type: 'order.created',
    key: `k${number % keys}`,
    payload: { number },
  }));
  const ids = (await enqueue(stage.database.pool, events, { ownTransaction: true })).map(({ id }) => id);
  const placeOf = new Map(
    ids.map((id, number) => [id, [`k${number % keys}`, Math.floor(number / keys)] as [string, number]]),
  );
  return { ids, placeOf };
}

/** The places of each key's events in the order in which they were first acknowledged. */
function acknowledgedOrder(
  stage: Stage,
  placeOf: ReadonlyMap<string, [string, number]>,
  isAcknowledged: (index: number) => boolean,
): Record<string, number[]> {
  const orders: Record<string, number[]> = {};
  for (const [index, { id }] of stage.billing.requests.entries()) {
    const [key, place] = placeOf.get(id) ?? ['?', -1];
    if (isAcknowledged(index) && !(orders[key] ?? []).includes(place)) (orders[key] ??= []).push(place);
  }
  return orders;
}

test('order per key is kept through an outage: what went back goes first, probes are heads of different keys', async () => {
  const down: boolean[] = [];
  let isDown = true;
  const stage = await openStage({
    answer: () => {
      down.push(isDown);
      return isDown ? 503 : 204;
    },
    billing: 'ordering: key',
  });
  const { ids, placeOf } = await sendKeyed(stage);
  await stands(stage, 'open');
  // Nothing behind a head was sent: each key has one event at the door at most.
  const places = stage.billing.requests.map(({ id }) => placeOf.get(id)?.[1]);
  expect(new Set(places)).toEqual(new Set([0]));
  isDown = false;
  await allDelivered(stage.database, ids, { timeout: 40_000 });
  const orders = acknowledgedOrder(stage, placeOf, (index) => down[index] === false);
  expect(Object.keys(orders)).toHaveLength(keys);
  for (const [key, order] of Object.entries(orders))
    expect(order, key).toEqual(Array.from({ length: perKey }, (_, place) => place));
  expect(await charged(stage.database)).toBe(0);
});

test('a pause in the middle changes no order either', async () => {
  const stage = await openStage({
    answer: { status: 204, delayMs: 20 },
    billing: 'ordering: key, concurrency: 10',
  });
  const { ids, placeOf } = await sendKeyed(stage);
  await command(stage, 'pause');
  await command(stage, 'resume');
  await allDelivered(stage.database, ids, { timeout: 40_000 });
  const orders = acknowledgedOrder(stage, placeOf, () => true);
  for (const order of Object.values(orders)) expect(order).toEqual([...order].sort((one, two) => one - two));
});

test('probes keep to a rate limit', async () => {
  const stage = await openStage({
    answer: 503,
    billing: 'rateLimit: { limit: 4, per: 1s }',
    circuit: 'unreachableInARow: 2',
  });
  const ids = await stage.send(12);
  await stands(stage, 'open');
  stage.billing.answer(204);
  await allDelivered(stage.database, ids, { timeout: 40_000 });
  const times = stage.billing.requests.map(({ receivedAtMs }) => receivedAtMs);
  // A quarter more than the limit in any second, and what a probe may overdraw.
  for (const from of times)
    expect(times.filter((at) => at >= from && at < from + 1_000).length).toBeLessThanOrEqual(8);
});
