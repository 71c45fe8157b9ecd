/** Service C: charges each order once. What no card takes waits for a person; what that person gives up is made up for. */
import { enqueue } from 'temporal-outbox';
import { Refusal } from 'temporal-outbox/consumer';
import { startService } from './service.mjs';

const limit = 500_000;

/** Payments has an outbox in its own database: an answer is written with what it tells of, or neither is. */
const tell = (client, type, order) => enqueue(client, { type, key: order.orderId, payload: order });

await startService('payments', {
  handlers: {
    'order.placed': async (client, order) => {
      // For good: the message is parked here, in this database, and acknowledged to the queue.
      if (order.amount > limit) throw new Refusal(422, `no card takes ${order.amount}`);
      await client.query('insert into charges (order_id, amount) values ($1, $2)', [
        order.orderId,
        order.amount,
      ]);
      await tell(client, 'payment.taken', order);
    },
  },
  // Told once of what a person discards, in a transaction: stock and orders hear of it, whoever dies now.
  onDiscard: (client, message) => tell(client, 'payment.abandoned', message.json()),
});
console.log('payments consumes');
