/** Order of keys, through failures, parking, and the death of consumers. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { listParked, resolveParked } from '../../../inbox/parked.ts';
import { consumerApplication, message, range, until, type ConsumerPlay } from '../stage.ts';
import { killTwice } from './ends.ts';

const retry = { initialInterval: '100ms', backoffCoefficient: 1, maximumAttempts: 2, jitter: 0 };

/** Of each key, in the order of the effects. */
async function effectsByKey(play: ConsumerPlay): Promise<Record<string, number[]>> {
  const rows = await play.rows<{ key: string; n: number }>('select key, n from effects order by number');
  const keys: Record<string, number[]> = {};
  for (const { key, n } of rows) (keys[key] ??= []).push(n);
  return keys;
}

export async function order(play: ConsumerPlay): Promise<void> {
  const of = (key: string) => (n: number) => {
    const asked =
      key === 'a' && n === 3 ? { n, fails: 1 } : key === 'b' && n === 104 ? { n, fails: 2 } : { n };
    return message(asked, { key });
  };
  const [a, b, c] = [range(1, 10), range(101, 110), range(201, 210)];
  await play.queue.put(range(0, 9).flatMap((i) => [of('a')(a[i]!), of('b')(b[i]!), of('c')(c[i]!)]));
  await play.consume({ order: 'key', retry });
  // b's fourth is parked, and what is behind it waits; the others are not held up.
  await until(async () => {
    assert.deepEqual(await effectsByKey(play), { a, b: [101, 102, 103], c });
    assert.equal((await listParked(play.pool, { state: 'parked' })).length, 1);
    assert.equal(await play.queue.left(), 0);
  });
  assert.equal((await listParked(play.pool, { state: 'waiting' })).length, 6);
  const [first] = await listParked(play.pool, { state: 'parked' });
  await resolveParked(play.pool, first!.id, { action: 'retry', actor: 'eve' });
  await play.queue.put(range(111, 120).map(of('b')));
  await until(async () => assert.deepEqual(await effectsByKey(play), { a, b: range(101, 120), c }));
}

export async function killedInOrder(play: ConsumerPlay): Promise<void> {
  const keys = ['a', 'b', 'c', 'd'];
  const messages = range(1, 60).flatMap((n) =>
    keys.map((key) => message(n % 20 === 7 ? { n, fails: 1, takes: 2 } : { n, takes: 2 }, { key })),
  );
  await play.queue.put(messages);
  await killTwice(play, { order: 'key', retry: { ...retry, maximumAttempts: 9 } });
  await play.consume({ order: 'key', retry: { ...retry, maximumAttempts: 9 } });
  await until(async () => {
    assert.deepEqual(await effectsByKey(play), Object.fromEntries(keys.map((key) => [key, range(1, 60)])));
    assert.equal(await play.queue.left(), 0);
  }, 90_000);
}

/** Each is ended with one message of each key at work, more of them here, and others still in the queue, which the next one would take. */
export async function endedInOrder(play: ConsumerPlay): Promise<void> {
  const keys = ['a', 'b', 'c', 'd'];
  const ends = [10, 30];
  const messages = range(1, 60).flatMap((n) =>
    keys.map((key) => message({ n, takes: ends.includes(n) ? 1_500 : 2 }, { key })),
  );
  await play.queue.put(messages);
  const options = { order: 'key', prefetch: 20, retry: { ...retry, maximumAttempts: 9 } } as const;
  let running = await play.spawn(options);
  for (const n of ends) {
    const next = await play.spawn(options);
    await until(async () => assert.ok((await play.effects()).length >= (n - 1) * keys.length), 60_000);
    await running.stop();
    running = next;
  }
  await until(async () => {
    assert.deepEqual(await effectsByKey(play), Object.fromEntries(keys.map((key) => [key, range(1, 60)])));
    assert.equal(await play.queue.left(), 0);
  }, 60_000);
  await running.stop();
}

/** Whatever a connection was needed for at that moment: a count, a claim, the handler's work, a commit. */
export async function cutInOrder(play: ConsumerPlay): Promise<void> {
  const keys = ['a', 'b', 'c', 'd'];
  const count = 100;
  const messages = range(1, count).flatMap((n) => keys.map((key) => message({ n, takes: 2 }, { key })));
  await play.queue.put(messages);
  await play.consume({ order: 'key', retry: { ...retry, maximumAttempts: 1_000 } });
  const done = async (): Promise<number> => (await play.effects()).length;
  for (const deadline = Date.now() + 120_000; (await done()) < keys.length * count - 40;) {
    const before = await done();
    assert.ok(Date.now() < deadline, `${before} effects in two minutes`);
    await play.rows(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = $1`,
      [consumerApplication],
    );
    await sleep(200);
    // On a busy machine a consumer needs longer than that to come to anything between two cuts.
    for (const patience = Date.now() + 2_000; (await done()) <= before && Date.now() < patience;)
      await sleep(100);
  }
  await until(async () => {
    const expected = Object.fromEntries(keys.map((key) => [key, range(1, count)]));
    assert.deepEqual(await effectsByKey(play), expected);
    assert.equal(await play.queue.left(), 0);
  }, 60_000);
}
