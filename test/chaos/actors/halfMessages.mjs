/**
 * A shop whose orders are in a database of its own, and which answers check-backs. Of its messages some are never told what became of them, and
 * some are prepared and then forgotten: as if it had died in between, which it does too.
 */
import { createServer } from 'node:http';
import pg from 'pg';
import { answerCheckBack, postgresMarkers, prepareMessage, withMessage } from '../../../dist/src/index.js';

const answerMs = 10_000;

export function openWriter({ DATABASE_URL, SHOP_URL, CHECK_BACK_PORT }) {
  const outbox = open(DATABASE_URL, 2);
  const shop = open(SHOP_URL, 4);
  const db = postgresMarkers(shop, { lockTimeoutMs: 500 });
  answerCheckBacks(db, Number(CHECK_BACK_PORT));
  const silent = {
    query: async (text, values) => {
      if (/(commit|rollback)_message/.test(text)) throw new Error('the outbox is not told');
      return outbox.query(text, values);
    },
  };
  return {
    eventsMax: 1,
    type: 'half.created',
    close: async () => undefined,
    write: async ({ tx, events: [{ id, type, key, number }], rollBack, chance }) => {
      const message = { id, producer: 'shop', type, key, payload: { number } };
      try {
        if (chance < 0.05) {
          await prepareMessage(outbox, message);
          return 'rolled-back';
        }
        await withMessage({ outbox: chance < 0.1 ? silent : outbox, db }, message, async (connection) => {
          await connection.query('insert into facts values ($1)', [tx]);
          if (rollBack) throw new Error('out of stock');
        });
        return 'committed';
      } catch {
        return rollBack ? 'rolled-back' : 'unknown';
      }
    },
  };
}

function open(connectionString, max) {
  const pool = new pg.Pool({
    connectionString,
    max,
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
  });
  pool.on('error', () => undefined);
  return pool;
}

function answerCheckBacks(db, port) {
  createServer((request, response) => {
    let text = '';
    request.on('error', () => undefined);
    request.on('data', (chunk) => (text += chunk));
    request.on('end', async () => {
      try {
        const answer = await answerCheckBack(db, JSON.parse(text).id);
        response.end(JSON.stringify({ answer }));
      } catch {
        response.writeHead(503).end();
      }
    });
  }).listen(port, '127.0.0.1');
}
