import { setTimeout as sleep } from 'node:timers/promises';
import type { Queryable } from '../../storage/connect.ts';
import { readOutcomes, type DeliveryOutcome } from '../../storage/outcomes.ts';

export interface Followed {
  readonly eventId: string;
  readonly destination: string;
}

const everyMs = 250;

/** Looks at deliveries that were sent again until each is delivered or parked, `timeoutMs` at most; in the order given. */
export async function waitForOutcomes(
  db: Queryable,
  deliveries: readonly Followed[],
  timeoutMs: number,
): Promise<DeliveryOutcome[]> {
  const until = Date.now() + timeoutMs;
  for (;;) {
    const outcomes = await readOutcomes(db, deliveries);
    const isOver = outcomes.every(
      ({ state }) => state === 'delivered' || state === 'parked' || state === 'gone',
    );
    if (isOver || Date.now() >= until) return outcomes;
    await sleep(everyMs);
  }
}
