/** What a group of Redis hands out reaches its consumer when it is handed out, whichever protocol the client speaks. */
import { Redis } from 'ioredis';
import pg from 'pg';
import { expect, test } from 'vitest';
import { createConsumer } from '../../src/consumer/index.ts';
import { entriesOf, type StreamsReply } from '../../src/consumer/redis/reply.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import { launchRedis } from '../support/brokers/redis.ts';
import { atEnd } from '../support/cleanup.ts';
import { createTestDatabase, eventually, uniqueName } from '../support/index.ts';
import { leaveBrokersToEverything, requires } from '../support/requires.ts';

async function start() {
  requires.program('redis-server');
  const server = await launchRedis();
  atEnd(() => server.stop());
  return server;
}

test('a message is taken when it comes, not once its lease of ten minutes is over; the client finds nothing to complain of', async () => {
  leaveBrokersToEverything();
  const server = await start();
  const { url } = await createTestDatabase({ migrated: false });
  const pool = new pg.Pool({ connectionString: url, max: 12 });
  await migrateInbox(pool);
  await pool.query('create table effects (text text)');
  const stream = uniqueName('stream');
  const said: unknown[] = [];
  const consumer = createConsumer({
    from: { type: 'redis', url: `redis://127.0.0.1:${server.port}`, stream, idle: '10m' },
    consumer: 'at-once',
    pool,
    onError: (error) => said.push(error),
    handler: (client, message) => client.query('insert into effects (text) values ($1)', [message.text()]),
  });
  atEnd(async () => {
    await consumer.stop();
    await pool.end();
  });
  await consumer.ready;
  const texts = ['one', 'two', 'three'];
  await server.client(async (redis) => {
    for (const text of texts)
      await redis.xadd(
        stream,
        '*',
        'webhook-id',
        uniqueName('m'),
        'content-type',
        'text/plain',
        'payload',
        text,
      );
  });
  const effects = async () => (await pool.query<{ text: string }>('select text from effects')).rows;
  await eventually(async () =>
    expect((await effects()).map(({ text }) => text).sort()).toEqual(texts.toSorted()),
  );
  expect(said).toEqual([]);
});

test.each([2, 3] as const)('entries are found in what a client of RESP%i answers', async (protocol) => {
  leaveBrokersToEverything();
  const server = await start();
  const redis = new Redis({ port: server.port, protocol });
  atEnd(() => redis.disconnect());
  await redis.xgroup('CREATE', 'orders', 'g', '0', 'MKSTREAM');
  const read = async () =>
    entriesOf(
      (await redis.callBuffer(
        ...([
          'XREADGROUP',
          'GROUP',
          'g',
          'one',
          'COUNT',
          10,
          'BLOCK',
          100,
          'STREAMS',
          'orders',
          '>',
        ] as const),
      )) as StreamsReply,
    );
  expect(await read()).toEqual([]);
  await redis.xadd('orders', '1-1', 'payload', 'one');
  await redis.xadd('orders', '1-2', 'payload', 'two');
  const found = await read();
  expect(found.map(([id, fields]) => [String(id), fields?.map(String)])).toEqual([
    ['1-1', ['payload', 'one']],
    ['1-2', ['payload', 'two']],
  ]);
});
