/**
 * A producer whose data lives in a database of its own, as a process to be killed. It takes COUNT messages the way of MODE, says
 * `ready` and how many of its calls ended how, and then waits for its end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { outboxApi, postgresMarkers, prepareMessage, withMessage } from '../../dist/src/index.js';

const { env } = process;
const count = Number(env.COUNT);
const atOnce = Number(env.AT_ONCE);
const poolOf = (connectionString, max) => new pg.Pool({ connectionString, max });
const shop = poolOf(env.SHOP_URL, atOnce);
const outbox = poolOf(env.OUTBOX_URL, 4);
const apiAt = (url) => outboxApi({ url, token: env.API_TOKEN });
const losingCommits = apiAt(env.LOSING_COMMITS_URL);
const losingPrepares = apiAt(env.LOSING_PREPARES_URL);
const away = [poolOf(env.OUTBOX_AWAY_URL, 4), apiAt(env.API_AWAY_URL), apiAt(env.API_WITHOUT_DATABASE_URL)];
const db = postgresMarkers(shop);
const message = { producer: 'shop', type: `order.${env.KIND}`, payload: { kind: env.KIND } };

const order = (connection, id) =>
  connection.query('insert into orders (id, kind) values ($1, $2)', [id, env.KIND]);
const never = () => new Promise(() => undefined);

const whole = (client, markers = db) => withMessage({ outbox: client, db: markers }, message, order);
const toldBy = async (client) => ((await whole(client)).told ? 'told' : 'untold');
const prepared = async () => {
  await prepareMessage(outbox, message);
  return 'prepared';
};

const modes = {
  commit: () => toldBy(outbox),
  rollback: () =>
    withMessage({ outbox, db }, message, async (connection, id) => {
      await order(connection, id);
      throw new Error('out of stock');
    }),
  silent: prepared,
  // The first of them in the middle of their transactions, the others before they begin it.
  before: async (n) => {
    if (n >= atOnce) return prepared();
    await new Promise((reached, failed) => {
      withMessage({ outbox, db }, message, async (connection, id) => {
        await order(connection, id);
        reached();
        await never();
      }).catch(failed);
    });
    return 'in its transaction';
  },
  // Does not come to telling the outbox.
  after: () =>
    new Promise((resolve, reject) => {
      const query = (text, values) => {
        if (!text.includes('commit_message')) return outbox.query(text, values);
        resolve('committed');
        return never();
      };
      whole({ query }).catch(reject);
    }),
  // Over the API, through something that lets requests arrive and their answers get lost.
  unanswered: () => toldBy(losingCommits),
  halfPrepared: () => whole(losingPrepares),
  late: () => whole(outbox, { ...db, transaction: afterItsRollback }),
  unreachable: (n) => whole(away[n % away.length]),
};

const rolledBack = new Map();

/** Stalls until a check-back has found no marker, and left one. */
async function afterItsRollback(id, work) {
  await new Promise((resolve) => {
    rolledBack.set(id, resolve);
    if (rolledBack.size === 1) void watchMarkers();
  });
  return db.transaction(id, work);
}

async function watchMarkers() {
  while (rolledBack.size > 0) {
    await sleep(200);
    const { rows } = await shop.query(
      `select id from outbox_message_markers where outcome = 'rolled-back' and id = any ($1)`,
      [[...rolledBack.keys()]],
    );
    for (const { id } of rows) {
      rolledBack.get(id)();
      rolledBack.delete(id);
    }
  }
}

const told = {};
const work = modes[env.MODE];
let next = 0;
await Promise.all(
  // Those that stall do so together.
  Array.from({ length: env.MODE === 'late' ? count : atOnce }, async () => {
    while (next < count) {
      const end = await work(next++).catch(({ code, hint, message: said }) =>
        hint ? `${code}: ${hint}` : said,
      );
      told[end] = (told[end] ?? 0) + 1;
    }
  }),
);
process.stdout.write(`ready ${JSON.stringify(told)}\n`);
setInterval(() => undefined, 1000);
