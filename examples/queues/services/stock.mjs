/** Service B: takes what was ordered off the shelf, and puts it back when the payment was given up. */
import { startService } from './service.mjs';

await startService('stock', {
  handlers: {
    'order.placed': async (client, { orderId, article, quantity }) => {
      const { rowCount } = await client.query(
        'insert into reservations (order_id, article, quantity) values ($1, $2, $3) on conflict do nothing',
        [orderId, article, quantity],
      );
      // It was given up before its order came here: there is nothing to take.
      if (rowCount === 0) return;
      await client.query('update shelf set quantity = quantity - $2 where article = $1', [article, quantity]);
    },
    'payment.abandoned': async (client, { orderId, article, quantity }) => {
      const { rowCount: first } = await client.query(
        `insert into reservations (order_id, article, quantity, state) values ($1, $2, $3, 'released')
         on conflict do nothing`,
        [orderId, article, quantity],
      );
      if (first === 1) return;
      await client.query(`update reservations set state = 'released' where order_id = $1`, [orderId]);
      await client.query('update shelf set quantity = quantity + $2 where article = $1', [article, quantity]);
    },
  },
});
console.log('stock consumes');
