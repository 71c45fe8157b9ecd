/** Service A: an order and its event are written in one transaction. What becomes of the payment comes back over the queue. */
import fastify from 'fastify';
import { enqueue } from 'temporal-outbox';
import { startService } from './service.mjs';

const { PORT = '8090' } = process.env;

const pool = await startService('orders', {
  handlers: {
    'payment.taken': (client, { orderId }) => move(client, orderId, 'paid'),
    'payment.abandoned': (client, { orderId }) => move(client, orderId, 'cancelled'),
  },
});

function move(client, orderId, to) {
  return client.query(`update orders set state = $2 where id = $1 and state = 'placed'`, [orderId, to]);
}

const app = fastify();

const schema = {
  body: {
    type: 'object',
    required: ['id', 'article', 'quantity', 'amount'],
    properties: {
      id: { type: 'string', pattern: '^[\\w-]{1,64}$' },
      article: { enum: ['tea', 'coffee'] },
      quantity: { type: 'integer', minimum: 1, maximum: 1000 },
      amount: { type: 'integer', minimum: 1, description: 'cents' },
    },
  },
};

/** The customer makes the id, and may send an order again when no answer came: it is placed once. */
app.post('/orders', { schema }, async ({ body: { id, article, quantity, amount } }, reply) => {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rowCount } = await client.query(
      'insert into orders (id, amount) values ($1, $2) on conflict do nothing',
      [id, amount],
    );
    if (rowCount === 1)
      await enqueue(client, {
        type: 'order.placed',
        key: id,
        payload: { orderId: id, article, quantity, amount },
      });
    await client.query('commit');
    client.release();
    return reply.code(rowCount === 1 ? 201 : 200).send({ id });
  } catch (error) {
    client.release(error);
    throw error;
  }
});

await app.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`orders listens on port ${PORT}`);
