/** A consumer in a process of its own, to be killed: `node consumer.mjs '<JSON>'`. Says a line when it is ready. */
import pg from 'pg';
import { createConsumer, Refusal } from '../../../dist/src/consumer/index.js';

const { databaseUrl, from, concurrency } = JSON.parse(process.argv[2]);
const pool = new pg.Pool({
  connectionString: databaseUrl,
  max: concurrency + 2,
  connectionTimeoutMillis: 5_000,
});
pool.on('error', () => undefined);
const consumer = createConsumer({
  from,
  consumer: 'volume',
  pool,
  concurrency,
  retry: { initialInterval: '200ms', maximumAttempts: 2 },
  onError: () => undefined,
  handler: async (client, message) => {
    const { n, poison } = message.json();
    await client.query('insert into effects (n, message_id) values ($1, $2)', [n, message.webhookId]);
    if (poison === 'dies') process.kill(process.pid, 'SIGKILL');
    if (poison === 'refused') throw new Refusal(422, 'not in this world');
    if (poison === 'fails') throw new Error('it never works');
  },
});
await consumer.ready;
process.stdout.write('ready\n');
