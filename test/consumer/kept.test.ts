/** Messages that lie in the consumer's database: whose they are, for how long, and what becomes of them when that process dies. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { Database } from '../../src/consumer/database.ts';
import { keepOn, KeptSource } from '../../src/consumer/kept.ts';
import type { Delivery, Host } from '../../src/consumer/type.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import type { ReceiverClient } from '../../src/receiver/transaction.ts';
import { ConsumerPlay, message } from '../../src/testing/consumers/stage.ts';
import { atEnd } from '../support/cleanup.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { createTestDatabase, eventually, requires } from '../support/index.ts';
import { startNats } from './servers/nats.ts';

test('one that is at work stays its process’s, and what it is set to meanwhile is not written over', async () => {
  const { url } = await createTestDatabase({ migrated: false });
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  atEnd(() => pool.end());
  await migrateInbox(pool);
  await pool.query(
    `insert into outbox_inbox.parked (consumer, message_id, key, source, headers, body, state)
     select 'stock', 'm' || i, 'k' || i, 'test', '{}', '', 'waiting' from generate_series(1, 2) i`,
  );
  const stopping = new AbortController();
  const database = new Database<ReceiverClient>(
    pool,
    { away: () => undefined, back: () => undefined },
    stopping.signal,
  );
  const taken: Delivery[] = [];
  const host: Host = {
    deliver: (delivery) => void taken.push(delivery),
    ...{ prefetch: 10, concurrency: 5, order: 'key', consumer: 'stock' },
    trouble: () => undefined,
    connected: () => undefined,
  };
  const source = new KeptSource(database, host, 50);
  source.start();
  atEnd(async () => {
    stopping.abort();
    await source.stop();
    for (const delivery of taken) await delivery.giveBack();
  });
  await eventually(() => expect(taken.map(({ brokerId }) => brokerId)).toEqual(['m1', 'm2']));
  const [first, second] = taken as [Delivery, Delivery];
  const until = async ({ kept }: Delivery): Promise<number> => {
    const { rows } = await pool.query<{ ms: string }>(
      'select extract(epoch from next_at) * 1000 as ms from outbox_inbox.parked where id = $1',
      [kept],
    );
    return Number(rows[0]?.ms);
  };

  // As `again` does, before it says so.
  await keepOn(database, second.kept!, {
    state: 'retrying',
    reason: 'failed',
    error: 'not yet',
    delayMs: 3_600_000,
  });
  const [lease, retryAt] = [await until(first), await until(second)];
  await eventually(async () => expect(await until(first)).toBeGreaterThan(lease + 3_000), {
    timeout: 60_000,
    interval: 200,
  });
  await sleep(500);
  expect(await until(second)).toBe(retryAt);
});

test('a key whose first message is at work in a process that is killed goes on within seconds', async (context) => {
  onlyWithEverything(context, 'a server of its own, and a consumer killed');
  requires.program('nats-server');
  const server = await startNats();
  atEnd(() => server.stop());
  const { url } = await createTestDatabase({ migrated: false });
  const play = new ConsumerPlay(server, await server.queue({ ordered: true }), url);
  atEnd(() => play.end());
  await play.prepare();
  const options = { order: 'key', retry: { initialInterval: '50ms', maximumAttempts: 5 } } as const;
  // Its first call fails, so it is kept; its second is cut short.
  await play.queue.put([
    message({ n: 1, fails: 1, takes: 1_000 }, { key: 'a' }),
    message({ n: 2 }, { key: 'a' }),
  ]);
  const victim = await play.spawn(options);
  await eventually(async () => expect(await play.calls(1)).toBe(2), { timeout: 60_000, interval: 20 });
  await victim.kill();
  await play.consume(options);
  await eventually(async () => expect(await play.effects()).toEqual([1, 2]), {
    timeout: 40_000,
    interval: 200,
  });
});
