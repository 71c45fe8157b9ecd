/** An order and its event in one transaction of the producer's database, which is the outbox's, and `run` beside it to RocketMQ. */
import { randomUUID } from 'node:crypto';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { parseConfig } from '../../../dist/src/config/load.js';
import { enqueue, run } from '../../../dist/src/index.js';
import { applyConfig } from '../../../dist/src/storage/configuration.js';
import { connect } from '../../../dist/src/storage/connect.js';
import { migrate } from '../../../dist/src/storage/migrate.js';
import { insertOrder, newOrder, openProducerDatabase, produceFor, stopwatch } from './producing.mjs';
import { play } from './role.mjs';

Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });

let pool;
let running;
const log = { debug() {}, info() {}, warn: console.error, error: console.error };

await play({
  prepare: async ({ databaseUrl, temporalAddress, destination }) => {
    const admin = connect(databaseUrl);
    await migrate(admin);
    const name = databaseUrl.split('/').pop().replace('_', '-');
    const text = JSON.stringify({
      name,
      destinations: { queue: destination },
      routes: [{ match: '*', to: ['queue'] }],
    });
    await applyConfig(admin, parseConfig(text).config, text, 'bench');
    await admin.end();
    pool = await openProducerDatabase(databaseUrl);
    running = await run({ databaseUrl, temporal: { address: temporalAddress }, log });
  },
  produce: (load) => produceFor(load, placeOrder),
  left: async () => (await pool.query('select count(*)::int as n from outbox.deliveries')).rows[0].n,
  stop: async () => {
    await running.stop();
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
    await enqueue(client, { type: 'order.created', payload: order });
    const local = took();
    await client.query('commit');
    return { prepare: 0, local, commit: took() };
  } finally {
    client.release();
  }
}
