/** Half messages of ours: prepare in the outbox, order and marker in the producer's own database, commit in the outbox. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { commitMessage, postgresMarkers, prepareMessage } from '../../../dist/src/index.js';
import {
  countRows,
  connections,
  insertOrder,
  newOrder,
  openProducerDatabase,
  produceFor,
  stopwatch,
} from './producing.mjs';
import { openOutbox } from './producingOutbox.mjs';
import { play } from './role.mjs';

let outbox;
let producer;
let markers;

await play({
  prepare: async (given) => {
    await openOutbox(given.databaseUrl);
    outbox = new pg.Pool({
      connectionString: given.databaseUrl,
      max: connections,
      options: given.outboxOptions,
    });
    producer = await openProducerDatabase(given.producerDatabaseUrl);
    markers = postgresMarkers(producer);
    await markers.migrate();
  },
  produce: (load) => produceFor(load, placeOrder),
  count: async () => ({
    orders: await countRows(producer, 'orders'),
    messages: await countRows(outbox, 'outbox.events'),
  }),
  stop: async () => {
    await outbox.end();
    await producer.end();
  },
});

/** What withMessage does, with a stopwatch in between. */
async function placeOrder() {
  const order = newOrder(randomUUID());
  const took = stopwatch();
  const { id } = await prepareMessage(outbox, {
    producer: 'shop',
    type: 'order.created',
    key: order.id,
    payload: order,
  });
  const prepare = took();
  const outcome = await markers.transaction(id, (client) => insertOrder(client, order));
  if (outcome.end !== 'committed') throw outcome.error;
  const local = took();
  await commitMessage(outbox, id);
  return { prepare, local, commit: took() };
}
