import { expect, test } from 'vitest';
import { eventually, spawnRun, startReceiver, startRun, type Receiver } from '../support/index.ts';
import { databaseFor, ownersOf, startRelay, write } from './stage.ts';
import { onlyWithEverything } from '../support/everything.ts';

async function four(): Promise<Record<string, Receiver>> {
  const names = ['a', 'b', 'c', 'd'];
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await startReceiver()] as const)),
  );
}

test('two relays share the lanes, and each event arrives once', async () => {
  const receivers = await four();
  const database = await databaseFor(receivers);
  await startRun({ databaseUrl: database.url, roles: { relay: false, worker: true } });
  const relays = [await startRelay(database, { leaseMs: 900 }), await startRelay(database, { leaseMs: 900 })];
  await eventually(async () => {
    const owners = Object.values(await ownersOf(database));
    for (const { id } of relays) expect(owners.filter((owner) => owner === id)).toHaveLength(2);
  });
  for (let n = 0; n < 10; n += 1)
    for (const name of Object.keys(receivers)) await write(database, `${name}.x`, 20);
  await eventually(async () =>
    expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(800),
  );
  for (const { requests } of Object.values(receivers)) {
    expect(new Set(requests.map(({ id }) => id)).size).toBe(200);
    expect(requests).toHaveLength(200);
  }
});

test('the lanes of a relay that stops go on with the other at once', async () => {
  const receivers = await four();
  const database = await databaseFor(receivers);
  await startRun({ databaseUrl: database.url, roles: { relay: false, worker: true } });
  const [stays, goes] = [
    await startRelay(database, { leaseMs: 900 }),
    await startRelay(database, { leaseMs: 900 }),
  ];
  await eventually(async () => expect(new Set(Object.values(await ownersOf(database))).size).toBe(2));
  await goes.stop();
  for (const name of Object.keys(receivers)) await write(database, `${name}.x`);
  await eventually(() => {
    for (const { requests } of Object.values(receivers)) expect(requests).toHaveLength(1);
  });
  expect(new Set(Object.values(await ownersOf(database)))).toEqual(new Set([stays.id]));
  expect(await database.rows('select id from outbox.relays')).toEqual([{ id: stays.id }]);
});

test('the lanes of a killed process go on with the other when their leases end', async (context) => {
  onlyWithEverything(context, 'kills');
  const receivers = await four();
  const database = await databaseFor(receivers);
  const killed = spawnRun({ databaseUrl: database.url });
  await eventually(async () =>
    expect(Object.values(await ownersOf(database)).filter(Boolean)).toHaveLength(4),
  );
  await killed.kill('SIGKILL');
  await startRun({ databaseUrl: database.url });
  for (const name of Object.keys(receivers)) await write(database, `${name}.x`);
  await eventually(() => {
    for (const { requests } of Object.values(receivers)) expect(requests).toHaveLength(1);
  });
});

test('an event that is scheduled arrives when it is due, not before', async () => {
  const receiver = await startReceiver();
  const database = await databaseFor({ a: receiver });
  await startRun({ databaseUrl: database.url });
  const [row] = await database.rows<{ due: number }>(
    `insert into outbox.events (type, payload, deliver_at) values ('a.x', '{}', now() + interval '1500 ms')
     returning (extract(epoch from deliver_at) * 1000)::float8 as due`,
  );
  await eventually(() => expect(receiver.requests).toHaveLength(1));
  expect(receiver.requests[0]?.receivedAtMs).toBeGreaterThanOrEqual((row?.due ?? Infinity) - 1);
});

test('an event that commits late, below what was claimed already, arrives', async () => {
  const receiver = await startReceiver();
  const database = await databaseFor({ a: receiver });
  await startRun({ databaseUrl: database.url });
  const late = await database.pool.connect();
  await late.query(`begin; insert into outbox.events (type, payload) values ('a.late', '{}')`);
  await write(database, 'a.early', 3);
  await eventually(() => expect(receiver.requests).toHaveLength(3));
  await late.query('commit');
  late.release();
  await eventually(() => expect(receiver.requests).toHaveLength(4));
});
