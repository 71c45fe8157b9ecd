/** By `enqueue`, in a transaction of node-postgres. */
import pg from 'pg';
import { enqueue } from '../../../dist/src/index.js';

const answerMs = 10_000;

export function openWriter({ DATABASE_URL }) {
  let client;
  const close = async () => {
    const old = client;
    client = undefined;
    await old?.end().catch(() => undefined);
  };
  return {
    eventsMax: 5,
    close,
    write: async ({ tx, events, rollBack }) => {
      let committing = false;
      try {
        client ??= await open(DATABASE_URL);
        await client.query('begin');
        await client.query('insert into chaos.facts values ($1)', [tx]);
        await enqueue(
          client,
          events.map(({ id, type, key, number }) => ({ id, type, key, payload: { number } })),
        );
        committing = !rollBack;
        await client.query(rollBack ? 'rollback' : 'commit');
        return rollBack ? 'rolled-back' : 'committed';
      } catch {
        await close();
        // Without a COMMIT nothing can be there; with one nobody knows.
        return committing ? 'unknown' : 'rolled-back';
      }
    },
  };
}

async function open(connectionString) {
  const client = new pg.Client({
    connectionString,
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
