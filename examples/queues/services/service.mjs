/** What the three services have in common: a database of their own, a queue, and a handler for each type of event. */
import pg from 'pg';
import { createConsumer } from 'temporal-outbox/consumer';

// The queue is the one thing in which examples differ: the name of a folder beside this one.
const { from, order = 'none' } = await import(`../${process.env.QUEUE}/from.mjs`);

/** @returns the pool of the service's database */
export async function startService(name, { handlers, onDiscard }) {
  const pool = new pg.Pool({
    connectionString: process.env[`${name.toUpperCase()}_DATABASE_URL`],
    connectionTimeoutMillis: 5_000,
    max: 12,
  });
  pool.on('error', (error) => console.error(`an idle connection broke: ${error.message}`));
  const consumer = createConsumer({
    from: from(name, Object.keys(handlers)),
    order,
    consumer: name,
    pool,
    retry: { initialInterval: '1s', backoffCoefficient: 2 },
    // In one transaction with the inbox's mark, so that a message has its effect once, however often the queue delivers it.
    handler: async (client, message) => {
      // Where services share a topic, what has no handler here is for the others.
      await handlers[message.type]?.(client, message.json());
    },
    ...(onDiscard === undefined ? {} : { onDiscard }),
  });
  process.on('SIGTERM', () => consumer.stop().then(() => process.exit(0)));
  await consumer.ready;
  return pool;
}
