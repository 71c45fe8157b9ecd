/**
 * A producer whose data lives in a database of its own, as a process that can be killed. It says `ready` when it has come to where
 * `mode` leads, and then waits for its end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { outboxApi, postgresMarkers, prepareMessage, withMessage } from '../../dist/src/index.js';

const { SHOP_URL, OUTBOX_URL, API_URL, API_TOKEN, MODE, COUNT } = process.env;
const atOnce = 40;
const shop = new pg.Pool({ connectionString: SHOP_URL, max: atOnce });
const outbox = new pg.Pool({ connectionString: OUTBOX_URL, max: 20 });
const db = postgresMarkers(shop);
const message = { producer: 'shop', type: `order.${MODE}`, payload: { mode: MODE } };

const order = (connection, id) =>
  connection.query('insert into orders (id, mode) values ($1, $2)', [id, MODE]);
const never = () => new Promise(() => undefined);

/** Does not come to telling the outbox. */
const silent = {
  query: (text, values) => (text.includes('commit_message') ? never() : outbox.query(text, values)),
};

const modes = {
  commit: () => withMessage({ outbox, db }, message, order),
  rollback: () =>
    withMessage({ outbox, db }, message, async (connection, id) => {
      await order(connection, id);
      throw new Error('out of stock');
    }).catch(() => undefined),
  // Over the API, through something that lets commits arrive and their answers get lost.
  unanswered: async () => {
    const api = outboxApi({ url: API_URL, token: API_TOKEN });
    const { told } = await withMessage({ outbox: api, db }, message, order);
    if (told) throw new Error('the answer was to get lost');
  },
  // The first of them in the middle of their transactions, the others before they begin it.
  before: async (n) => {
    if (n >= atOnce) return prepareMessage(outbox, message);
    await new Promise((reached) => {
      void withMessage({ outbox, db }, message, async (connection, id) => {
        await order(connection, id);
        reached();
        await never();
      });
    });
  },
  after: async (n) => {
    withMessage({ outbox: silent, db }, message, order).catch(fail);
    // Not to have all of them wait for a connection at once.
    while ((await committed()) < n - atOnce) await sleep(20);
  },
};

const work = modes[MODE];
let next = 0;
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    while (next < Number(COUNT)) await work(next++);
  }),
);
while (MODE === 'after' && (await committed()) < Number(COUNT)) await sleep(50);
process.stdout.write('ready\n');
setInterval(() => undefined, 1000);

async function committed() {
  const { rows } = await shop.query('select count(*)::int as n from orders where mode = $1', [MODE]);
  return rows[0].n;
}

function fail(error) {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}
