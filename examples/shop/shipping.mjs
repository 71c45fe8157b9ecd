/** Ships each paid order once, unless it was given up; and gives up once, unless it was shipped. */
import { createServer } from 'node:http';
import pg from 'pg';
import { enqueue } from 'temporal-outbox';
import { advance } from 'temporal-outbox/inbox';
import { createReceiver, Refusal } from 'temporal-outbox/receiver';

const { SHIPPING_SECRET, OUTBOX_DATABASE_URL, PORT = '8083' } = process.env;
const pool = new pg.Pool({ connectionString: OUTBOX_DATABASE_URL, connectionTimeoutMillis: 5_000 });
pool.on('error', (error) => console.error(`an idle connection broke: ${error.message}`));

const countries = ['DE', 'FR', 'IT'];

const handlers = {
  'order.paid': async (client, { orderId, country }) => {
    // For good: the delivery is parked, and a person corrects the country or discards it.
    if (!countries.includes(country)) throw new Refusal(422, `no parcels to ${country}`);
    if (!(await move(client, orderId, 'shipped'))) return;
    await client.query('insert into shipping.parcels (order_id, country) values ($1, $2)', [
      orderId,
      country,
    ]);
    await enqueue(client, { type: 'order.shipped', key: orderId, payload: { orderId, becomes: 'shipped' } });
  },
  // A person gave the delivery up. If its answer was lost and the parcel has left, there is nothing to undo.
  'shipment.discarded': async (client, { orderId }) => {
    if (!(await move(client, orderId, 'cancelled'))) return;
    await enqueue(client, { type: 'order.unshippable', key: orderId, payload: { orderId } });
  },
};

/** From `new`, once: whichever of the two comes first decides, and the other changes nothing. */
async function move(client, orderId, to) {
  if (typeof orderId !== 'string') throw new Refusal(422, 'orderId: expected the id of an order');
  await client.query('insert into shipping.shipments (order_id) values ($1) on conflict do nothing', [
    orderId,
  ]);
  const { outcome } = await advance(client, {
    table: 'shipping.shipments',
    idColumn: 'order_id',
    id: orderId,
    from: 'new',
    to,
  });
  return outcome === 'advanced';
}

const receiver = createReceiver({
  consumer: 'shipping',
  secrets: [SHIPPING_SECRET],
  pool,
  handler: async (client, message) => {
    const handle = handlers[message.type];
    if (handle === undefined) throw new Refusal(422, `shipping does not know ${message.type}`);
    await handle(client, message.json());
  },
});

createServer(receiver.listener).listen(Number(PORT), '127.0.0.1', () =>
  console.log(`shipping listens on port ${PORT}`),
);
