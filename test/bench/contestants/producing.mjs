/** What producers of messages have in common: an order in a PostgreSQL of their own, and a load of so many at once. */
import pg from 'pg';
import { quantile } from '../figures.mjs';

/** Enough for 100 at once on a small machine; more connections made all contestants slower. */
export const connections = 16;

export async function openProducerDatabase(url) {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  await pool.query(
    'create table orders (id uuid primary key, customer text not null, total integer not null)',
  );
  return pool;
}

export const insertOrder = (client, { id, customer, total }) =>
  client.query('insert into orders (id, customer, total) values ($1, $2, $3)', [id, customer, total]);

/** About 250 bytes of JSON. */
export function newOrder(id) {
  return { id, customer: 'c-17', total: 125, note: 'x'.repeat(160) };
}

/**
 * @param one makes one order and its message, and answers `{ prepare, local, commit }`: milliseconds of each step
 * @returns how many, per second, and quantiles of whole and steps
 */
export async function produceFor({ atOnce, seconds }, one) {
  const steps = { prepare: [], local: [], commit: [] };
  const wholes = [];
  const startedAt = performance.now();
  const endAt = startedAt + seconds * 1000;
  const producer = async () => {
    while (performance.now() < endAt) {
      const begunAt = performance.now();
      const took = await one();
      wholes.push(performance.now() - begunAt);
      for (const [step, times] of Object.entries(steps)) times.push(took[step]);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, producer));
  const elapsedSeconds = (performance.now() - startedAt) / 1000;
  return {
    messages: wholes.length,
    perSecond: wholes.length / elapsedSeconds,
    p50: quantile(wholes, 0.5),
    p99: quantile(wholes, 0.99),
    steps: Object.fromEntries(Object.entries(steps).map(([step, times]) => [step, quantile(times, 0.5)])),
  };
}

/** Milliseconds from one mark to the next. */
export function stopwatch() {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const took = now - last;
    last = now;
    return took;
  };
}

export async function countRows(pool, table) {
  return (await pool.query(`select count(*)::int as n from ${table}`)).rows[0].n;
}
