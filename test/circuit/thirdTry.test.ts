/** Receivers that refuse each event, or each of one type, at first: neither may hold a circuit open. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { onlyWithEverything } from '../support/everything.ts';
import type { Script } from '../support/index.ts';
import { allDelivered, deadLetters, openStage, type Stage } from './stage.ts';

/** The behaviour's bound, by the default timetable of probes. */
const withinAMinute = { timeout: 60_000 };
const byDefault = { probeAfter: null };

/** 500 for the first two tries of those events, 204 after. */
function atTheThirdTry(isHard: (body: string) => boolean): Script {
  const tries = new Map<string, number>();
  return ({ body, id }) => {
    if (!isHard(body.toString())) return 204;
    const count = (tries.get(id) ?? 0) + 1;
    tries.set(id, count);
    return count < 3 ? 500 : 204;
  };
}

async function sendKeyed({ database }: Stage, keys: number, each: number): Promise<string[]> {
  const events = Array.from({ length: keys * each }, (_, at) => ({
    type: 'order.created',
    key: `k${at % keys}`,
    payload: { nth: Math.floor(at / keys) },
  }));
  return (await enqueue(database.pool, events, { ownTransaction: true })).map(({ id }) => id);
}

test(
  'a hundred keys whose heads each fail twice with 500 are through in under a minute',
  { timeout: 90_000 },
  async (context) => {
    onlyWithEverything(context, 'it takes half a minute');
    const stage = await openStage({
      ...byDefault,
      answer: atTheThirdTry((body) => (JSON.parse(body) as { nth: number }).nth === 7),
      billing: 'ordering: key',
    });
    await allDelivered(stage.database, await sendKeyed(stage, 100, 50), withinAMinute);
    expect(await deadLetters(stage.database)).toBe(0);
  },
);

test.for([100, 2_000])(
  '%i events without a key that each fail twice with 500 are through in under a minute',
  { timeout: 90_000 },
  async (count, context) => {
    onlyWithEverything(context, 'a sibling is shown');
    const stage = await openStage({ ...byDefault, answer: atTheThirdTry(() => true) });
    await allDelivered(stage.database, await stage.send(count), withinAMinute);
    expect(await deadLetters(stage.database)).toBe(0);
  },
);

test('an event type that always gets 500 does not hold up the others of its destination, and none of these waits for a probe', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const stage = await openStage({
    ...byDefault,
    answer: ({ body }) => (body.toString().includes('sick') ? 500 : 204),
  });
  const write = async (type: string, count: number): Promise<string[]> => {
    const events = Array.from({ length: count }, () => ({ type, payload: { is: type } }));
    return (await enqueue(stage.database.pool, events, { ownTransaction: true })).map(({ id }) => id);
  };
  await allDelivered(stage.database, await write('order.well', 20));
  // Three of four are of the sick type, for some seconds.
  for (let round = 0; round < 15; round++) {
    await write('order.sick', 30);
    await allDelivered(stage.database, await write('order.well', 10), { timeout: 12_000 });
    await sleep(200);
  }
  expect((await stage.standing()).state).toBe('closed');
}, 90_000);

test('a sick event type at the head of the line does not keep a circuit open for the others', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const stage = await openStage({
    ...byDefault,
    answer: ({ body }) => (body.toString().includes('sick') ? 500 : 204),
  });
  const write = async (type: string, count: number): Promise<string[]> => {
    const events = Array.from({ length: count }, () => ({ type, payload: { is: type } }));
    return (await enqueue(stage.database.pool, events, { ownTransaction: true })).map(({ id }) => id);
  };
  await write('order.sick', 400);
  const well = await write('order.well', 400);
  await allDelivered(stage.database, well, { timeout: 30_000 });
  expect(await deadLetters(stage.database)).toBe(0);
}, 60_000);
