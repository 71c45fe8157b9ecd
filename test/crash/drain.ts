/** A drain to be disturbed: many events for one receiver, and the sums afterwards. */
import { expect } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import type { Pool } from '../../src/storage/connect.ts';
import { eventually, type Receiver } from '../support/index.ts';

/** Writes events 1,000 at a time, in transactions of their own; answers their ids. */
export async function writeEvents(pool: Pool, count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const size = Math.min(1_000, count - ids.length);
    const events = Array.from({ length: size }, (_, number) => ({
      type: 'order.created',
      payload: { number: ids.length + number },
    }));
    ids.push(...(await enqueue(pool, events, { ownTransaction: true })).map(({ id }) => id));
  }
  return ids;
}

/** Waits until the receiver has got so many requests. */
export async function received(receiver: Receiver, count: number): Promise<void> {
  await eventually(() => expect(receiver.requests.length).toBeGreaterThanOrEqual(count), {
    interval: 2,
    timeout: 60_000,
  });
}

/** Requests per idempotency key. */
export function keysOf(receiver: Receiver): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key } of receiver.requests) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** Events that have arrived and whose acknowledgement is not in the database: all that can come twice. */
export async function unacknowledged(pool: Pool, receiver: Receiver): Promise<number> {
  const { rows } = await pool.query<{ count: string }>('select count(*) from outbox.delivered');
  return keysOf(receiver).size - Number(rows[0]?.count ?? 0);
}

/** Waits until nothing is left; every event must have arrived, none under two keys. Answers how many requests were repeats. */
export async function drained(
  pool: Pool,
  receiver: Receiver,
  ids: readonly string[],
  timeout = 90_000,
): Promise<number> {
  await eventually(
    async () => {
      const { rows } = await pool.query('select state, count(*) from outbox.deliveries group by state');
      expect(rows).toEqual([]);
    },
    { timeout, interval: 200 },
  );
  const keys = keysOf(receiver);
  expect([...keys.keys()].sort()).toEqual(ids.map((id) => `billing/${id}`).sort());
  const { rows } = await pool.query<{ count: string }>(
    'select count(distinct event_id) from outbox.delivered',
  );
  expect(Number(rows[0]?.count)).toBe(ids.length);
  return receiver.requests.length - keys.size;
}

/** No connection of ours is left in the database: what a killed process had under way is decided. */
export async function connectionsGone(pool: Pool): Promise<void> {
  await eventually(async () => {
    const { rows } = await pool.query(
      `select pid from pg_stat_activity where datname = current_database() and application_name = 'temporal-outbox'`,
    );
    expect(rows).toEqual([]);
  });
}
