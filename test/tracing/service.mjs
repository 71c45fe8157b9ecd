/** The services on both ends of an outbox, each a process with a tracer of its own: `shop` writes events, `billing` and `stock` receive them. */
import { createServer } from 'node:http';
import { trace } from '@opentelemetry/api';
import pg from 'pg';
import { createConsumer } from '../../dist/src/consumer/index.js';
import { enqueue } from '../../dist/src/index.js';
import { createReceiver, Refusal } from '../../dist/src/receiver/index.js';

const { SERVICE, DATABASE_URL, REDIS_URL, SECRET } = process.env;
const pool = new pg.Pool({ connectionString: DATABASE_URL, connectionTimeoutMillis: 5_000, max: 10 });
const tracer = trace.getTracer('application');

/** Work of the application within its handler. */
const reserve = () => tracer.startActiveSpan(`${SERVICE} works`, (span) => span.end());

const services = {
  /** All in one transaction, each within a span of its own. */
  shop: async () => {
    const client = await pool.connect();
    await client.query('begin');
    for (const { type, span: name } of JSON.parse(process.env.EVENTS))
      await tracer.startActiveSpan(name, { root: true }, async (span) => {
        const { id } = await enqueue(client, { type, payload: { name } });
        console.log(JSON.stringify({ id, traceId: span.spanContext().traceId }));
        span.end();
      });
    await client.query('commit');
    console.log('done');
  },
  billing: async () => {
    const handler = (_client, message) => {
      reserve();
      if (message.type === 'order.shaky' && message.attempt === 1) throw new Refusal(500, 'not today');
    };
    const receiver = createReceiver({ consumer: 'billing', secrets: [SECRET], pool, handler });
    const server = createServer(receiver.listener);
    server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('listening'));
  },
  stock: async () => {
    const from = { type: 'redis', url: REDIS_URL, stream: 'orders' };
    const consumer = createConsumer({ from, consumer: 'stock', pool, handler: reserve });
    await consumer.ready;
    console.log('listening');
  },
};
await services[SERVICE]();
