/**
 * Orders live in MariaDB (or MySQL). Each is placed together with a half message: order.placed is delivered if, and only if, the
 * order's transaction commits, whenever this process is killed.
 */
import fastify from 'fastify';
import { createPool } from 'mysql2/promise';
import pg from 'pg';
import { answerCheckBack, mysqlMarkers, withMessage } from 'temporal-outbox';
import { createVerifier } from 'temporal-outbox/receiver';

const { ORDERS_DATABASE_URL, ORDERS_SECRET, OUTBOX_DATABASE_URL, PORT = '8081' } = process.env;
const mariadb = createPool({ uri: ORDERS_DATABASE_URL });
const outbox = new pg.Pool({ connectionString: OUTBOX_DATABASE_URL, connectionTimeoutMillis: 5_000 });
outbox.on('error', (error) => console.error(`an idle connection broke: ${error.message}`));
const markers = mysqlMarkers(mariadb);
const verify = createVerifier([ORDERS_SECRET]);

await markers.migrate();
await mariadb.query(`create table if not exists orders (
  id varchar(64) collate utf8mb4_bin primary key, amount int not null, country varchar(2) not null,
  state enum('placed', 'shipped', 'cancelled') not null default 'placed') engine = InnoDB`);

const app = fastify();

const orderSchema = {
  type: 'object',
  required: ['id', 'amount', 'country'],
  properties: {
    id: { type: 'string', pattern: '^[\\w-]{1,64}$' },
    amount: { type: 'integer', minimum: 1, maximum: 100_000_000, description: 'cents' },
    country: { type: 'string', pattern: '^[A-Z]{2}$' },
  },
};

/** The customer makes the id, and may send an order again when no answer came: it is placed once. */
app.post('/orders', { schema: { body: orderSchema } }, async ({ body: { id, amount, country } }, reply) => {
  const message = {
    producer: 'orders',
    type: 'order.placed',
    key: id,
    payload: { orderId: id, amount, country },
  };
  try {
    await withMessage({ outbox, db: markers }, message, (connection) =>
      connection.query('insert into orders (id, amount, country) values (?, ?, ?)', [id, amount, country]),
    );
    return reply.code(201).send({ id });
  } catch (error) {
    if (error.code !== 'ER_DUP_ENTRY') throw error;
    // There is one of that id. This transaction was rolled back, and its message with it.
    const [[placed]] = await mariadb.query('select amount, country from orders where id = ?', [id]);
    const isSame = placed.amount === amount && placed.country === country;
    return reply.code(isSame ? 200 : 409).send({ id });
  }
});

/** What the outbox sends. Signatures cover bytes, so the bodies stay bytes here. */
await app.register(async (signed) => {
  signed.removeAllContentTypeParsers();
  signed.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  signed.addHook('preHandler', async ({ headers, body }, reply) => {
    try {
      verify(headers, body);
    } catch (error) {
      return reply.code(401).send(error.message);
    }
  });

  /** Asked about half messages of ours that nobody finished. The marker in MariaDB knows. */
  signed.post('/check-back', async ({ body }) => ({
    answer: await answerCheckBack(markers, JSON.parse(body).id),
  }));

  /** MariaDB has no inbox, and these two need none: the order's own state tells what was done. */
  signed.post('/hooks', async ({ body }, reply) => {
    // From the body, which is signed. The header outbox-event-type is not.
    const { orderId, becomes: to } = JSON.parse(body);
    if (to !== 'shipped' && to !== 'cancelled')
      return reply.code(422).send('an event that orders does not know');
    await mariadb.query(`update orders set state = ? where id = ? and state = 'placed'`, [to, orderId]);
    const [[order]] = await mariadb.query('select state from orders where id = ?', [orderId]);
    if (order?.state !== to)
      return reply.code(422).send(`the order is ${order?.state ?? 'unknown'}, not ${to}`);
    return reply.code(204).send();
  });
});

await app.listen({ port: Number(PORT), host: '127.0.0.1' });
console.log(`orders listens on port ${PORT}`);
