import type { CircuitChange } from '../src/storage/circuits.ts';

/** Deliveries of one lane with a workflow of their own, at most; a larger failing crowd stays together. */
export const maximumSingles = 200;

/** This process lacks what it takes to send. A process that does not takes the rows; the pause keeps them from being passed on in a loop. */
export const leftToOthers: CircuitChange = { wait: { waitMs: 1_000, claimAtMost: 10_000 } };
