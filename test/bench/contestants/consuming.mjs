/** A consumer with the same effect in a transaction of its own: ours with the inbox, or the broker's client by hand without it. */
import pg from 'pg';
import { createConsumer } from '../../../dist/src/consumer/index.js';
import { migrateInbox } from '../../../dist/src/inbox/index.js';
import { consumeBare, openPublisher } from './bareClients.mjs';
import { body } from './consumed.mjs';
import { randomUUID } from 'node:crypto';
import { play } from './role.mjs';

const atOnce = 8;
let pool;
let settings;
let consumer;
const effect = (client, text) => client.query('insert into effects (payload) values ($1)', [text]);

await play({
  prepare: async (given) => {
    settings = given;
    // By hand as many are at work as there are connections.
    pool = new pg.Pool({ connectionString: given.databaseUrl, max: given.bare ? atOnce : atOnce + 2 });
    await pool.query('create table effects (at timestamptz default now(), payload jsonb)');
    await migrateInbox(pool);
  },
  /** Messages into the queue. */
  fill: async (count) => {
    const publisher = await openPublisher(settings.destination);
    for (let done = 0; done < count; done += 1000)
      await publisher.publish(
        Array.from({ length: Math.min(1000, count - done) }, (_, n) => ({
          ...{ id: randomUUID(), key: `k${done + n}`, body },
        })),
      );
    await publisher.close();
  },
  begin: async () => {
    const { from, bare } = settings;
    if (bare) return void consumeBare(from, 2 * atOnce, (text) => inTransaction(text));
    consumer = createConsumer({
      ...{ from, consumer: 'bench', pool, concurrency: atOnce },
      handler: (client, message) => effect(client, message.text()),
    });
  },
  /** Effects, here. */
  left: async () => (await pool.query('select count(*)::int as n from effects')).rows[0].n,
  stop: async () => {
    await consumer?.stop();
  },
});

async function inTransaction(text) {
  const client = await pool.connect();
  await client.query('begin');
  await effect(client, text);
  await client.query('commit');
  client.release();
}
