/**
 * How many deliveries one fault may cause to be sent again: those that had arrived, and whose acknowledgement was not in the database. A
 * bound for full load; at a few hundred events a second hardly any of it is used.
 */

import type { Allowance } from './history.ts';

/** As configured for every destination of a run. */
export const concurrency = 50;
export const inFlight = 2;
export const timeoutMs = 8_000;
/** As activities/ledger.ts flushes: so many acknowledgements at a time, and as many may gather while those are written. */
export const flushRows = 250;

/**
 * A process of ours, or its way to a server, or a server: of each destination, requests under way and answers not yet written. One that is
 * taken for dead, and is not, may send what it had begun with while others have it acknowledged.
 */
export function repeatsOfOurs(destinations: number): Allowance {
  return {
    repeats: destinations * inFlight * (concurrency + 2 * flushRows),
    late: destinations * inFlight * concurrency,
  };
}

/** A receiver, or the way to it: the requests under way, and once more for each time that they are waited for in vain. */
export function repeatsOfReceiver(forMs: number): Allowance {
  return { repeats: inFlight * concurrency * (1 + Math.ceil(forMs / timeoutMs)), late: 0 };
}

export const none: Allowance = { repeats: 0, late: 0 };
