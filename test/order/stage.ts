/** Keyed events through real processes, and what the receiver saw of their order. */
import { expect } from 'vitest';
import type { Pool } from '../../src/storage/connect.ts';
import { eventually, type ReceivedRequest, type Receiver, type TestDatabase } from '../support/index.ts';

/** `ordering: key`, retries soon. */
export const keyed = 'ordering: key, retry: { initialInterval: 200ms, backoffCoefficient: 1, jitter: 0 }';

/** Writes one event a key and round, each statement a transaction of its own; the payload says which. */
export async function writeRounds(
  pool: Pool,
  { keys, rounds, first = 1 }: { readonly keys: number; readonly rounds: number; readonly first?: number },
): Promise<void> {
  for (let round = first; round < first + rounds; round++) {
    await pool.query(
      `insert into outbox.events (type, key, payload)
       select 'order.changed', 'k' || k, jsonb_build_object('key', 'k' || k, 'n', $2::int) from generate_series(1, $1::int) k`,
      [keys, round],
    );
  }
}

export interface Keyed {
  readonly key: string;
  readonly n: number;
}

export function keyedBody({ body }: ReceivedRequest): Keyed {
  return JSON.parse(body.toString()) as Keyed;
}

/** For each key, the numbers of its events in the order in which the receiver got each for the first time. */
export function firstReceipts(receiver: Receiver): Map<string, number[]> {
  const seen = new Set<string>();
  const byKey = new Map<string, number[]>();
  for (const request of receiver.requests) {
    if (seen.has(request.id)) continue;
    seen.add(request.id);
    const { key, n } = keyedBody(request);
    byKey.set(key, [...(byKey.get(key) ?? []), n]);
  }
  return byKey;
}

/** Every key got 1 … rounds, in that order. */
export function expectInOrder(receiver: Receiver, keys: number, rounds: number): void {
  const received = firstReceipts(receiver);
  expect(received.size).toBe(keys);
  const wanted = Array.from({ length: rounds }, (_, index) => index + 1);
  for (const [key, numbers] of received) expect({ key, numbers }).toEqual({ key, numbers: wanted });
}

export async function settled({ pool }: TestDatabase, timeout = 60_000): Promise<void> {
  await eventually(
    async () => {
      const { rows } = await pool.query(
        'select state, count(*)::int from outbox.deliveries group by state order by 1',
      );
      expect(rows).toEqual([]);
    },
    { timeout, interval: 100 },
  );
}
