/** The databases of stock and payments beside that of orders, and the tables of all three. */
import pg from 'pg';

const { ORDERS_DATABASE_URL, STOCK_DATABASE_URL, PAYMENTS_DATABASE_URL } = process.env;

const within = async (url, work) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await work(client);
  await client.end();
};

await within(ORDERS_DATABASE_URL, async (client) => {
  await client.query(`create table orders (
    id text primary key, amount integer not null,
    state text not null default 'placed' check (state in ('placed', 'paid', 'cancelled')))`);
  for (const url of [STOCK_DATABASE_URL, PAYMENTS_DATABASE_URL])
    await client.query(`create database ${client.escapeIdentifier(new URL(url).pathname.slice(1))}`);
});

// Nothing here keeps an order from being charged, or taken off the shelf, twice: that is what the inbox is for.
await within(STOCK_DATABASE_URL, (client) =>
  client.query(`
    create table shelf (article text primary key, quantity integer not null);
    insert into shelf values ('tea', 1000), ('coffee', 1000);
    create table reservations (
      order_id text primary key, article text not null, quantity integer not null,
      state text not null default 'reserved')`),
);
await within(PAYMENTS_DATABASE_URL, (client) =>
  client.query('create table charges (order_id text not null, amount integer not null)'),
);
