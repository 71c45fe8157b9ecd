/** A receiver in Hono; Next.js, Remix and Bun hand over a Request just so. */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import pg from 'pg';
import { createReceiver } from 'temporal-outbox/receiver';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5_000 });
pool.on('error', (error) => console.error(`an idle connection broke: ${error.message}`));

const receiver = createReceiver({
  consumer: 'shipping',
  secrets: [process.env.SHIPPING_SECRET],
  pool,
  handler: (client, message) =>
    client.query('insert into shipments ("order", note) values ($1, $2)', [message.json().id, message.type]),
});

const app = new Hono();
app.post('/hooks', ({ req }) => receiver.fetch(req.raw));

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 8090), hostname: '127.0.0.1' }, ({ port }) =>
  console.log(`listening on ${port}`),
);
