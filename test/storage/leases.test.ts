/** A relay has one lease for all its lanes: what a heartbeat writes, and every way in which a take-over may cross with what its owner does. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { chunk } from '../../src/storage/attempts.ts';
import { holdLanes, leaveLanes, type HeldLanes } from '../../src/storage/claims.ts';
import type { Queryable } from '../../src/storage/connect.ts';
import { claimShared } from '../../src/storage/sharedLane.ts';
import { applyTestConfig, eventually, type TestDatabase } from '../support/index.ts';
import { claim, databaseWith, session, writeEvents, yamlOf } from './fixtures.ts';

const names = ['a', 'b'];
const routes = `[${names.map((name) => `{ match: '${name}', to: [${name}] }`).join(', ')}]`;
const two = (): Promise<TestDatabase> => databaseWith({ a: {}, b: {} }, routes);
const shortMs = 300;

const hold = (db: Queryable, relay: string, leaseMs = 60_000, known: string | null = null) =>
  holdLanes(db, relay, 'test', leaseMs, [], known);

/** Heartbeats until nothing moves any more. */
async function settled(db: Queryable, relay: string, leaseMs = 60_000): Promise<HeldLanes> {
  await eventually(async () => expect((await hold(db, relay, leaseMs)).known).not.toBeNull());
  return hold(db, relay, leaseMs);
}

async function isOver(database: TestDatabase, relay: string): Promise<void> {
  await eventually(async () =>
    expect(
      await database.rows('select 1 from outbox.relays where id = $1 and lease_until <= now()', [relay]),
    ).toHaveLength(1),
  );
}

const versionsOf = ({ rows }: TestDatabase) =>
  rows('select name, xmin::text, ctid::text from outbox.lanes order by name');

test('a heartbeat that finds nothing changed renews the lease and writes no lane', async () => {
  const database = await two();
  const relay = randomUUID();
  const { known } = await settled(database.pool, relay, shortMs);
  const before = await versionsOf(database);
  await isOver(database, relay);
  expect(await hold(database.pool, relay, 60_000, known)).toEqual({ known, lanes: null });
  expect(await versionsOf(database)).toEqual(before);
  const stranger = randomUUID();
  expect((await hold(database.pool, stranger)).lanes).toEqual([]);
});

test('one that comes, one that leaves, a new configuration and lanes that changed hands are all noticed', async () => {
  const database = await two();
  const { pool } = database;
  const [first, second] = [randomUUID(), randomUUID()];
  let { known } = await settled(pool, first);
  const news = async (): Promise<readonly string[] | null> => {
    const held = await hold(pool, first, 60_000, known);
    ({ known } = held);
    return held.lanes === null ? null : [...held.lanes].sort();
  };
  expect(await news()).toBeNull();
  await hold(pool, second);
  expect(await news()).toEqual(['a']);
  // It gave one up just now, and looks until somebody has it.
  expect(await news()).toEqual(['a']);
  expect((await hold(pool, second)).lanes).toEqual(['b']);
  expect(await news()).toEqual(['a']);
  expect(await news()).toBeNull();
  await leaveLanes(pool, second);
  expect(await news()).toEqual(['a', 'b']);
  await settled(pool, first);
  await news();
  expect(await news()).toBeNull();
  await applyTestConfig(database, yamlOf({ a: {}, b: {}, c: {} }));
  expect(await news()).toEqual(['a', 'b', 'c']);
});

test('a relay that was stopped past its lease claims nothing of what another took over, and learns of it', async () => {
  const database = await two();
  const { pool } = database;
  const [stopped, heir] = [randomUUID(), randomUUID()];
  const { known } = await settled(pool, stopped, shortMs);
  for (const name of names) await writeEvents(pool, 1, name);
  await isOver(database, stopped);
  expect((await hold(pool, heir)).lanes).toEqual(names);
  expect(await claim(pool, stopped, names)).toEqual([]);
  const ask = { after: '0', among: null, share: true, own: [], aside: [], into: null, limit: null };
  expect(await claimShared(pool, stopped, ask, chunk)).toMatchObject({ batch: null, joined: null });
  expect((await hold(pool, stopped, 60_000, known)).lanes).toEqual([]);
  expect((await claimShared(pool, heir, ask, chunk)).batch?.size).toBe(2);
});

test('a heartbeat that comes while its lanes are being taken over waits, and then sees that they are gone', async () => {
  const database = await two();
  const [stopped, heir] = [randomUUID(), randomUUID()];
  const { known } = await settled(database.pool, stopped, shortMs);
  await isOver(database, stopped);
  const taking = await session(database.url);
  await taking.query('begin');
  expect((await hold(taking, heir)).lanes).toEqual(names);
  let answered = false;
  const awake = hold(database.pool, stopped, 60_000, known).finally(() => (answered = true));
  await sleep(200);
  expect(answered).toBe(false);
  await taking.query('commit');
  expect((await awake).lanes).toEqual([]);
});

test('a take-over that comes while the owner is renewing leaves it its lanes', async () => {
  const database = await two();
  const [late, other] = [randomUUID(), randomUUID()];
  const { known } = await settled(database.pool, late, shortMs);
  await isOver(database, late);
  const renewing = await session(database.url);
  await renewing.query('begin');
  expect(await hold(renewing, late, 60_000, known)).toEqual({ known, lanes: null });
  expect(await hold(database.pool, other)).toEqual({ known: null, lanes: [] });
  await renewing.query('commit');
  expect((await hold(database.pool, other)).lanes).toEqual([]);
  await writeEvents(database.pool, 1, 'a');
  expect(await claim(database.pool, late, names)).toHaveLength(1);
});

test('a lane from which its owner is claiming just then is passed over, and taken at the next heartbeat', async () => {
  const database = await two();
  const [old, heir] = [randomUUID(), randomUUID()];
  await settled(database.pool, old, shortMs);
  await writeEvents(database.pool, 2, 'a');
  const claiming = await session(database.url);
  await claiming.query('begin');
  const [batch] = await claim(claiming, old, ['a']);
  expect(batch?.size).toBe(2);
  await isOver(database, old);
  // It is to look again, whatever it knows.
  expect(await hold(database.pool, heir)).toEqual({ known: null, lanes: ['b'] });
  await claiming.query('commit');
  expect([...((await hold(database.pool, heir)).lanes ?? [])].sort()).toEqual(names);
  expect(await claim(database.pool, heir, ['a'])).toEqual([]);
  expect(await database.rows('select distinct state, batch_id from outbox.deliveries')).toEqual([
    { state: 'claimed', batch_id: batch?.batchId },
  ]);
});

test('many that come and go at once end with each lane at one of those that live', async () => {
  const database = await databaseWith(
    Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`lane-${n}`, {}])),
  );
  const relays = Array.from({ length: 6 }, () => ({ id: randomUUID(), known: null as string | null }));
  const beat = async (relay: (typeof relays)[number], leaseMs: number): Promise<void> => {
    relay.known = (await hold(database.pool, relay.id, leaseMs, relay.known)).known;
  };
  for (let round = 0; round < 3; round += 1) await Promise.all(relays.map((relay) => beat(relay, 500)));
  const living = relays.slice(0, 3);
  await eventually(async () => {
    await Promise.all(living.map((relay) => beat(relay, 60_000)));
    const counts = await database.rows('select owner, count(*)::int as n from outbox.lanes group by owner');
    expect(counts).toHaveLength(3);
    expect(counts).toEqual(expect.arrayContaining(living.map(({ id }) => ({ owner: id, n: 4 }))));
  });
});
