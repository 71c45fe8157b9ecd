import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { holdLanes, leaveLanes } from '../../src/storage/claims.ts';
import type { Queryable } from '../../src/storage/connect.ts';
import { applyTestConfig, eventually } from '../support/index.ts';
import { databaseWith, yamlOf } from './fixtures.ts';

const names = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`lane-${n}`, {}]));
const hold = async (db: Queryable, relay: string, leaseMs = 60_000) => [
  ...((await holdLanes(db, relay, 'test', leaseMs)).lanes ?? []),
];

test('a relay alone holds every lane', async () => {
  const { pool } = await databaseWith(names(5));
  expect((await hold(pool, randomUUID())).sort()).toEqual(Object.keys(names(5)));
});

test('a second relay gets its share, and no lane has two owners on the way', async () => {
  const { pool } = await databaseWith(names(5));
  const [first, second] = [randomUUID(), randomUUID()];
  expect(await hold(pool, first)).toHaveLength(5);
  expect(await hold(pool, second)).toEqual([]);
  const kept = await hold(pool, first);
  const taken = await hold(pool, second);
  expect(kept).toHaveLength(3);
  expect(taken).toHaveLength(2);
  expect([...kept, ...taken].sort()).toEqual(Object.keys(names(5)));
});

test('relays that hold again and again keep what they have', async () => {
  const { pool } = await databaseWith(names(6));
  const relays = [randomUUID(), randomUUID(), randomUUID()];
  for (let round = 0; round < 3; round += 1) for (const relay of relays) await hold(pool, relay);
  const before = await Promise.all(relays.map((relay) => hold(pool, relay)));
  expect(before.map((lanes) => lanes.length)).toEqual([2, 2, 2]);
  for (let round = 0; round < 3; round += 1) {
    expect(await Promise.all(relays.map((relay) => hold(pool, relay)))).toEqual(before);
  }
});

test('a relay that leaves hands its lanes on at once', async () => {
  const { pool, rows } = await databaseWith(names(4));
  const [first, second] = [randomUUID(), randomUUID()];
  await hold(pool, first);
  await hold(pool, second);
  await leaveLanes(pool, first);
  expect(await hold(pool, second)).toHaveLength(4);
  expect(await rows('select id from outbox.relays')).toEqual([{ id: second }]);
});

test('the lanes of a relay that is not heard of pass on when their leases end', async () => {
  const { pool } = await databaseWith(names(2));
  await hold(pool, randomUUID(), 300);
  const heir = randomUUID();
  expect(await hold(pool, heir, 300)).toEqual([]);
  await eventually(async () => expect(await hold(pool, heir, 300)).toHaveLength(2));
});

test('many relays that come at once share without a deadlock', async () => {
  const { pool, rows } = await databaseWith(names(8));
  const relays = Array.from({ length: 8 }, () => randomUUID());
  for (let round = 0; round < 4; round += 1) await Promise.all(relays.map((relay) => hold(pool, relay)));
  expect(await rows('select owner, count(*)::int as lanes from outbox.lanes group by owner')).toEqual(
    expect.arrayContaining(relays.map((owner) => ({ owner, lanes: 1 }))),
  );
});

test('a new destination has a lane at the next heartbeat, one taken away has none', async () => {
  const database = await databaseWith(names(1));
  const relay = randomUUID();
  await hold(database.pool, relay);
  await applyTestConfig(database, yamlOf({ 'lane-0': {}, another: {} }));
  expect((await hold(database.pool, relay)).sort()).toEqual(['another', 'lane-0']);
  await applyTestConfig(database, yamlOf({ another: {} }));
  expect(await hold(database.pool, relay)).toEqual(['another']);
});
