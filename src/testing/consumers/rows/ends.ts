/** Ends: of consumers, by -9 and in order; of the database, and of the broker. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { listParked } from '../../../inbox/parked.ts';
import { message, range, until, type ConsumerPlay, type TestOptions } from '../stage.ts';

const retry = { initialInterval: '100ms', maximumAttempts: 3 };

async function eachOnce(play: ConsumerPlay, count: number, timeoutMs = 60_000): Promise<void> {
  await until(async () => {
    assert.deepEqual(
      (await play.effects()).toSorted((a, b) => a - b),
      range(1, count),
    );
    assert.equal(await play.queue.left(), 0);
  }, timeoutMs);
}

/** Each time in full swing: what was at work at the first death is done before the second, which else would be its own. */
export async function killTwice(play: ConsumerPlay, options: TestOptions): Promise<void> {
  let done = 0;
  for (const more of [20, 80]) {
    const consumer = await play.spawn(options);
    await until(async () => assert.ok((await play.effects()).length >= done + more), 90_000);
    await consumer.kill();
    done = (await play.effects()).length;
  }
}

export async function killed(play: ConsumerPlay): Promise<void> {
  await play.queue.put(range(1, 300).map((n) => message({ n, takes: 5 })));
  await killTwice(play, { retry });
  await play.consume({ retry });
  await eachOnce(play, 300);
  assert.deepEqual(await listParked(play.pool), []);
}

export async function poison(play: ConsumerPlay): Promise<void> {
  await play.queue.put(
    [...range(1, 5), 0, ...range(6, 30)].map((n) => message(n === 0 ? { n, dies: true } : { n, takes: 20 })),
  );
  let starts = 0;
  while ((await listParked(play.pool)).length === 0) {
    assert.ok(++starts <= 3, 'by the third start it is parked');
    const consumer = await play.spawn({ retry });
    await Promise.race([
      consumer.ended,
      until(async () => assert.equal((await listParked(play.pool)).length, 1), 60_000),
    ]);
    if ((await listParked(play.pool)).length > 0) await eachOnce(play, 30);
    await consumer.stop();
  }
  const [found] = await listParked(play.pool);
  assert.deepEqual([found?.reason, await play.calls(0)], ['process-died', 2]);
}

export async function stopping(play: ConsumerPlay): Promise<void> {
  await play.queue.put(range(1, 40).map((n) => message({ n, takes: 100 })));
  const first = await play.consume({ retry, concurrency: 4 });
  await until(async () => assert.ok((await play.effects()).length >= 4));
  await first.stop();
  const done = await play.effects();
  assert.ok(done.length < 40);
  assert.equal((await play.rows('select n from calls')).length, done.length, 'what was begun was finished');
  await until(async () => assert.equal(await play.queue.left(), 40 - done.length));
  await play.consume({ retry, concurrency: 8 });
  await eachOnce(play, 40);
  assert.equal((await play.rows('select n from calls')).length, 40, 'nothing was called twice');
}

export async function sharing(play: ConsumerPlay): Promise<void> {
  await play.queue.put(range(1, 150).map((n) => message({ n, takes: 10 })));
  const first = await play.spawn({ retry });
  const second = await play.consume({ retry });
  await until(async () => assert.ok((await play.effects()).length > 30));
  await first.kill();
  await play.queue.put(range(151, 250).map((n) => message({ n, takes: 10 })));
  const third = await play.spawn({ retry });
  await until(async () => assert.ok((await play.effects()).length > 150), 60_000);
  await second.stop();
  await eachOnce(play, 250, 90_000);
  await third.stop();
}

/** Longer than brokers are told to wait in the harness's `from`. */
export async function long(play: ConsumerPlay): Promise<void> {
  await play.queue.put([message({ n: 1, takes: 6_000 }), message({ n: 2 })]);
  await play.consume({ retry });
  await eachOnce(play, 2);
  assert.equal(await play.calls(1), 1);
}

export async function databaseAway(play: ConsumerPlay): Promise<void> {
  await play.queue.put(range(1, 100).map((n) => message({ n, takes: 10 })));
  const consumer = await play.consume({ retry: { ...retry, maximumAttempts: 1 } });
  await until(async () => assert.ok((await play.effects()).length > 10));
  const name = new URL(play.databaseUrl).pathname.slice(1);
  const { default: pg } = await import('pg');
  const url = new URL(play.databaseUrl);
  url.pathname = '/postgres';
  const outside = new pg.Client({ connectionString: url.href });
  await outside.connect();
  try {
    await outside.query(`alter database "${name}" allow_connections false`);
    await outside.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
    await until(async () => assert.equal(consumer.counters.paused, 1));
    await sleep(500);
    await outside.query(`alter database "${name}" allow_connections true`);
  } finally {
    await outside.end();
  }
  await eachOnce(play, 100);
  assert.deepEqual([consumer.counters.failed, consumer.counters.parked], [0, 0]);
  assert.deepEqual(await listParked(play.pool), []);
  assert.equal(consumer.counters.resumed, 1);
}

export async function brokerKilled(play: ConsumerPlay): Promise<void> {
  await play.queue.put(range(1, 200).map((n) => message({ n, takes: 10 })));
  const consumer = await play.consume({ retry });
  await until(async () => assert.ok((await play.effects()).length > 20));
  await play.server.kill?.();
  await play.server.restart?.();
  await play.queue.put([message({ n: 201 })]);
  await eachOnce(play, 201, 90_000);
  assert.ok(consumer.counters.connected >= 1);
}
