/** Charges each placed order once, and gives the money back once for those that cannot be shipped. */
import { createServer } from 'node:http';
import pg from 'pg';
import { enqueue } from 'temporal-outbox';
import { createReceiver, Refusal } from 'temporal-outbox/receiver';

const { BILLING_SECRET, OUTBOX_DATABASE_URL, PORT = '8082' } = process.env;
const pool = new pg.Pool({ connectionString: OUTBOX_DATABASE_URL, connectionTimeoutMillis: 5_000 });
pool.on('error', (error) => console.error(`an idle connection broke: ${error.message}`));

/** Each in the receiver's transaction: inbox, ledger and the next event are written together or not at all. */
const handlers = {
  'order.placed': async (client, order) => {
    await enter(client, order.orderId, order.amount);
    await enqueue(client, { type: 'order.paid', key: order.orderId, payload: order });
  },
  'order.unshippable': async (client, { orderId }) => {
    const { rows } = await client.query(
      'select sum(amount)::int as charged from billing.ledger where order_id = $1',
      [orderId],
    );
    const { charged } = rows[0];
    if (!(charged > 0)) throw new Refusal(422, `nothing is charged for order ${orderId}`);
    await enter(client, orderId, -charged);
    await enqueue(client, {
      type: 'order.refunded',
      key: orderId,
      payload: { orderId, amount: charged, becomes: 'cancelled' },
    });
  },
};

const enter = (client, orderId, amount) =>
  client.query('insert into billing.ledger (order_id, amount) values ($1, $2)', [orderId, amount]);

const receiver = createReceiver({
  consumer: 'billing',
  secrets: [BILLING_SECRET],
  pool,
  handler: async (client, message) => {
    const handle = handlers[message.type];
    if (handle === undefined) throw new Refusal(422, `billing does not know ${message.type}`);
    await handle(client, message.json());
  },
});

createServer(receiver.listener).listen(Number(PORT), '127.0.0.1', () =>
  console.log(`billing listens on port ${PORT}`),
);
