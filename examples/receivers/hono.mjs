/** A receiver in Hono: any framework that can hand over method, headers and the raw bytes will do. */
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
app.post('/hooks', async ({ req }) => {
  const { status, headers, body } = await receiver.answer({
    method: req.method,
    headers: req.raw.headers,
    body: new Uint8Array(await req.arrayBuffer()),
  });
  return new Response(body === '' ? null : body, { status, headers });
});

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 8090), hostname: '127.0.0.1' }, ({ port }) =>
  console.log(`listening on ${port}`),
);
