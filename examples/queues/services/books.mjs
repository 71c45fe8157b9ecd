/** What each of the three holds of every order: they agree when all is done. */
import pg from 'pg';

const { ORDERS_DATABASE_URL, STOCK_DATABASE_URL, PAYMENTS_DATABASE_URL } = process.env;

const rows = async (url, text) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const found = await client.query(text);
  await client.end();
  return found.rows;
};

const [orders, reservations, charges, shelf] = await Promise.all([
  rows(ORDERS_DATABASE_URL, 'select id, state from orders order by id'),
  rows(STOCK_DATABASE_URL, 'select order_id, article, quantity, state from reservations'),
  rows(PAYMENTS_DATABASE_URL, 'select order_id, amount from charges'),
  rows(STOCK_DATABASE_URL, 'select article, quantity from shelf order by article'),
]);
for (const { id, state } of orders) {
  const reserved = reservations
    .filter(({ order_id }) => order_id === id)
    .map(({ article, quantity, state }) => `${state} ${quantity} ${article}`);
  const charged = charges.filter(({ order_id }) => order_id === id).map(({ amount }) => amount);
  console.log(`${id}  ${state}  ${reserved.join(' + ') || '-'}  charged ${charged.join(' + ') || 'nothing'}`);
}
console.log(shelf.map(({ article, quantity }) => `${quantity} ${article}`).join(', '), 'on the shelf');
