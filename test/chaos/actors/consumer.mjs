/**
 * Takes from a queue by this package's own consumer, with its effects in a database of its own. Nothing in its table keeps an effect from
 * being there twice. Now and then the handler fails.
 */
import pg from 'pg';
import { createConsumer } from '../../../dist/src/consumer/index.js';

const { FROM, STOCK_URL } = process.env;
const pool = new pg.Pool({ connectionString: STOCK_URL, connectionTimeoutMillis: 3_000, max: 10 });
const consumer = createConsumer({
  from: JSON.parse(FROM),
  consumer: 'stock',
  pool,
  order: 'key',
  concurrency: 8,
  retry: { initialInterval: '100ms', backoffCoefficient: 1, maximumAttempts: 100 },
  stopTimeout: '5s',
  handler: async (client, message) => {
    const { number } = message.json();
    await client.query('insert into effects (event, key, number) values ($1, $2, $3)', [
      ...[message.messageId, message.key, number],
    ]);
    if (number % 50 === 0 && Math.random() < 0.5) throw new Error('not this time');
  },
  onError: () => undefined,
});
process.once('SIGTERM', () => void consumer.stop().then(() => process.exit(0)));
