/** Plain outbox rows, for producers whose data is in the outbox's database: one transaction, no message to prepare. */
import { randomUUID } from 'node:crypto';
import { enqueue } from '../../../dist/src/index.js';
import {
  countRows,
  insertOrder,
  newOrder,
  openProducerDatabase,
  produceFor,
  stopwatch,
} from './producing.mjs';
import { openOutbox } from './producingOutbox.mjs';
import { play } from './role.mjs';

let pool;

await play({
  prepare: async (given) => {
    await openOutbox(given.databaseUrl);
    pool = await openProducerDatabase(given.databaseUrl);
  },
  produce: (load) => produceFor(load, placeOrder),
  count: async () => ({
    orders: await countRows(pool, 'orders'),
    messages: await countRows(pool, 'outbox.events'),
  }),
  stop: async () => {
    await pool.end();
  },
});

async function placeOrder() {
  const order = newOrder(randomUUID());
  const took = stopwatch();
  const client = await pool.connect();
  try {
    await client.query('begin');
    await insertOrder(client, order);
    await enqueue(client, { type: 'order.created', key: order.id, payload: order });
    await client.query('commit');
  } finally {
    client.release();
  }
  return { prepare: 0, local: took(), commit: 0 };
}
