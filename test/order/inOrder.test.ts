import { expect, test } from 'vitest';
import { openStage, eventuallyStand, workflowOf } from '../deliver/stage.ts';
import {
  eventually,
  runCli,
  spawnRun,
  startReceiver,
  createTestDatabase,
  applyTestConfig,
} from '../support/index.ts';
import { connectionsGone, received } from '../crash/drain.ts';
import { configOf } from '../deliver/stage.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { expectInOrder, firstReceipts, keyed, keyedBody, settled, writeRounds } from './stage.ts';
import { onlyWithEverything } from '../support/everything.ts';

const keys = 200;
const rounds = 20;

test('two processes, 200 keys, one event in twenty refused twice: each key arrives in order', async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver({
    answer: (request) => {
      const { key, n } = keyedBody(request);
      const unlucky = (Number(key.slice(1)) + n) % 20 === 0;
      return unlucky && request.attempt <= 2 ? 500 : 204;
    },
  });
  await applyTestConfig(database, configOf(receiver.url, keyed));
  for (let number = 0; number < 2; number++) spawnRun({ databaseUrl: database.url });
  await writeRounds(database.pool, { keys, rounds });
  await settled(database, 120_000);
  expectInOrder(receiver, keys, rounds);
  expect(receiver.requests.length).toBeGreaterThanOrEqual(keys * rounds * 1.1);
}, 180_000);

test('killed with SIGKILL in the middle, each key still arrives in order', async (context) => {
  onlyWithEverything(context, 'kills');
  const database = await createTestDatabase();
  const receiver = await startReceiver({
    answer: (request) => (request.attempt === 1 && keyedBody(request).n % 7 === 0 ? 503 : 204),
  });
  await applyTestConfig(database, configOf(receiver.url, keyed));
  await writeRounds(database.pool, { keys, rounds });
  const killed = [spawnRun({ databaseUrl: database.url }), spawnRun({ databaseUrl: database.url })];
  await received(receiver, (keys * rounds) / 4);
  await Promise.all(killed.map((process) => process.kill('SIGKILL')));
  await connectionsGone(database.pool);
  expect(receiver.requests.length).toBeLessThan(keys * rounds);
  spawnRun({ databaseUrl: database.url });
  await settled(database, 120_000);
  expectInOrder(receiver, keys, rounds);
}, 180_000);

test('the header outbox-sequence rises with each event of a key; an event without a key has none', async () => {
  const { database, receiver } = await openStage({ answer: 204, billing: keyed });
  await writeRounds(database.pool, { keys: 2, rounds: 5 });
  await database.pool.query(
    `insert into outbox.events (type, payload) values ('a', '{"key": "none", "n": 1}')`,
  );
  await settled(database);
  const sequences = (key: string) =>
    receiver.requests
      .filter((request) => keyedBody(request).key === key)
      .map(({ headers }) => headers['outbox-sequence']);
  for (const key of ['k1', 'k2']) {
    const numbers = sequences(key).map(Number);
    expect(numbers).toHaveLength(5);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  }
  expect(sequences('none')).toEqual([undefined]);
});

test('a slow answer holds its own key only', async () => {
  const { database, receiver } = await openStage({
    answer: (request) => (keyedBody(request).key === 'k1' ? { status: 204, delayMs: 1_500 } : 204),
    billing: keyed,
  });
  await writeRounds(database.pool, { keys: 20, rounds: 5 });
  await eventually(() => expect(receiver.requests.length).toBeGreaterThanOrEqual(19 * 5 + 1), {
    timeout: 20_000,
  });
  expect(firstReceipts(receiver).get('k1')?.length).toBeLessThan(5);
  await settled(database);
  expectInOrder(receiver, 20, 5);
}, 60_000);

test('a parked head blocks its key, is shown with what waits behind it, and lets go once resolved', async () => {
  const { database, receiver } = await openStage({
    answer: (request) =>
      keyedBody(request).n === 1 && request.headers['outbox-replaces'] === undefined ? 422 : 204,
    billing: keyed,
  });
  const [head, ...behind] = (
    await enqueue(
      database.pool,
      [1, 2, 3].map((n) => ({ type: 'order.changed', key: 'k1', payload: { key: 'k1', n } })),
      { ownTransaction: true },
    )
  ).map(({ id }) => id);
  await enqueue(
    database.pool,
    { type: 'order.changed', key: 'k2', payload: { key: 'k2', n: 2 } },
    { ownTransaction: true },
  );
  await eventuallyStand(database, [head ?? ''], { state: 'parked' });
  await eventuallyStand(database, behind, { state: 'blocked' });
  await eventually(() => expect(firstReceipts(receiver).get('k2')).toEqual([2]));

  const about = { databaseUrl: database.url };
  const status = JSON.parse((await runCli(['status', '--json'], about)).stdout) as { blockedKeys: unknown[] };
  expect(status.blockedKeys).toMatchObject([
    {
      destination: 'billing',
      key: 'k1',
      headEventId: head,
      headState: 'parked',
      waiting: 2,
      deadLetterId: 1,
    },
  ]);
  expect((await runCli(['status'], about)).stdout).toMatch(/k1 +.*parked.* 2/);
  const shown = JSON.parse((await runCli(['dlq', 'show', '1', '--json'], about)).stdout) as object;
  expect(shown).toMatchObject({ blocks: { key: 'k1', waiting: 2 } });
  expect((await runCli(['dlq', 'show', '1'], about)).stdout).toContain(
    '2 later events of key k1 wait for it',
  );

  expect((await runCli(['dlq', 'edit', '1', '--payload', '{"key":"k1","n":1,"ok":true}'], about)).code).toBe(
    0,
  );
  await settled(database);
  expect(
    receiver.requests.filter((request) => keyedBody(request).key === 'k1').map((r) => keyedBody(r).n),
  ).toEqual([1, 1, 2, 3]);
  expect(workflowOf(database, head ?? '')).toContain(head);
}, 60_000);

test('with onPark: skip the key goes on past a parked event', async () => {
  const { database, receiver } = await openStage({
    answer: (request) => (keyedBody(request).n === 2 ? 422 : 204),
    billing: `${keyed}, onPark: skip`,
  });
  await writeRounds(database.pool, { keys: 3, rounds: 4 });
  await eventually(() => {
    for (const key of ['k1', 'k2', 'k3']) expect(firstReceipts(receiver).get(key)).toEqual([1, 2, 3, 4]);
  });
  await eventually(async () =>
    expect(
      await database.rows('select state, count(*)::int as n from outbox.deliveries group by state'),
    ).toEqual([{ state: 'parked', n: 3 }]),
  );
});

test('a destination that begins to keep order while events are under way sends later ones after them', async () => {
  const { database, receiver } = await openStage({
    answer: (request) => (keyedBody(request).n === 1 && request.attempt < 3 ? 500 : 204),
    billing: 'retry: { initialInterval: 1s, backoffCoefficient: 1 }',
  });
  await writeRounds(database.pool, { keys: 3, rounds: 1 });
  await eventually(() => expect(receiver.requests.length).toBeGreaterThanOrEqual(3));
  await applyTestConfig(database, configOf(receiver.url, keyed));
  await writeRounds(database.pool, { keys: 3, rounds: 3, first: 2 });
  await settled(database);
  for (const key of ['k1', 'k2', 'k3'])
    expect(
      receiver.requests
        .map(keyedBody)
        .filter((body) => body.key === key)
        .map(({ n }) => n),
    ).toEqual([1, 1, 1, 2, 3, 4]);
}, 60_000);
