/** The bank: moves money once for each transfer, however often it is told of it. */
import fastify from 'fastify';
import pg from 'pg';
import { createReceiver, Refusal } from 'temporal-outbox/receiver';

const { BANK_DATABASE_URL, BANK_SECRET, PORT = '8090' } = process.env;
const pool = new pg.Pool({ connectionString: BANK_DATABASE_URL, max: 12, connectionTimeoutMillis: 5_000 });
pool.on('error', (error) => console.error(`an idle connection broke: ${error.message}`));

const receiver = createReceiver({
  consumer: 'bank',
  secrets: [BANK_SECRET],
  pool,
  handler: async (client, message) => {
    const { transfer, from, to, amount } = message.json();
    // Both accounts are locked in the order of their numbers, so that two transfers never wait for each other.
    const { rowCount } = await client.query(
      `with locked as (
         select id from accounts where id in ($2, $3) order by id for update
       ), moved as (
         update accounts a set balance = balance + case a.id when $2 then -$4::bigint else $4::bigint end
         from locked where locked.id = a.id
         returning a.id
       )
       insert into ledger (transfer, from_account, to_account, amount)
       select $1::int, $2::int, $3::int, $4::bigint from moved having count(*) = 2`,
      [transfer, from, to, amount],
    );
    if (rowCount !== 1) throw new Refusal(422, `there is no account ${from} or ${to}`);
  },
});

const app = fastify();
await app.register(receiver.fastify, { path: '/transfers' });
await app.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`the bank is open on port ${PORT}`);
