/**
 * RocketMQ's transactional messages through its official Node client: half message, order in the producer's own database,
 * commit. The order's row is what its checker would look for, so it needs no marker.
 */
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { rocketmqTopic } from '../rocketmq.mjs';
import {
  countRows,
  insertOrder,
  newOrder,
  openProducerDatabase,
  produceFor,
  stopwatch,
} from './producing.mjs';
import { play } from './role.mjs';

let pool;
let producer;
let topic;
const resolution = { commit: 1, rollback: 2 };

await play({
  prepare: async ({ producerDatabaseUrl, rocketmqEndpoints, rocketmqModules, topicName = rocketmqTopic }) => {
    topic = topicName;
    pool = await openProducerDatabase(producerDatabaseUrl);
    const { Producer } = createRequire(`${rocketmqModules}/`)('rocketmq-client-nodejs');
    const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };
    producer = new Producer({
      endpoints: rocketmqEndpoints,
      namespace: '',
      topics: [topic],
      logger: quiet,
      checker: {
        check: async (message) =>
          (await isPlaced(message.keys[0])) ? resolution.commit : resolution.rollback,
      },
    });
    await producer.startup();
  },
  produce: (load) => produceFor(load, placeOrder),
  // Its messages are counted at the broker.
  count: async () => ({ orders: await countRows(pool, 'orders') }),
  stop: async () => {
    await producer.shutdown().catch(() => undefined);
    await pool.end();
  },
});

async function placeOrder() {
  const order = newOrder(randomUUID());
  const took = stopwatch();
  const transaction = producer.beginTransaction();
  await producer.send({ topic, keys: [order.id], body: Buffer.from(JSON.stringify(order)) }, transaction);
  const prepare = took();
  const client = await pool.connect();
  try {
    await client.query('begin');
    await insertOrder(client, order);
    await client.query('commit');
  } finally {
    client.release();
  }
  const local = took();
  await transaction.commit();
  return { prepare, local, commit: took() };
}

async function isPlaced(id) {
  return (await pool.query('select from orders where id = $1', [id])).rowCount === 1;
}
