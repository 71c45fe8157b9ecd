import type { Log } from '../../activities/index.ts';
import { destinationStartOptions } from '../circuit/startOptions.ts';
import { circuitsToWatch, forgetWatch, type CircuitToWatch } from '../storage/circuits.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { ensureStarted, withStartDeadline } from '../temporal/ensureStarted.ts';
import { recheckSignal } from '../../workflows/contract.ts';
import type { Timeouts } from './timeouts.ts';

/** A held destination's workflow is looked for this often, by whichever relay comes first. */
const lookEveryMs = 15_000;
const startsPerPass = 50;

export interface CircuitWatchOptions {
  readonly db: Queryable;
  readonly temporal: Temporal;
  readonly name: string | null;
  readonly searchAttributes: boolean;
  readonly log: Log;
  readonly timeouts: Timeouts;
}

/** Sees to it that each destination that is paused, or whose circuit is not closed, has its workflow: at first, and ever after. */
export class CircuitWatch {
  readonly #options: CircuitWatchOptions;

  constructor(options: CircuitWatchOptions) {
    this.#options = options;
  }

  async pass(): Promise<void> {
    const { db, log } = this.#options;
    for (const circuit of await circuitsToWatch(db, lookEveryMs, startsPerPass)) {
      if (circuit.fresh) log.warn({ destination: circuit.destination }, 'destination is held');
      await this.#start(circuit).catch(async (error: unknown) => {
        await forgetWatch(db, circuit.destination);
        throw error;
      });
    }
  }

  async #start({ destination, fresh }: CircuitToWatch): Promise<void> {
    const { temporal, name, searchAttributes, timeouts } = this.#options;
    const timeoutMs = await timeouts.of(destination);
    const options = destinationStartOptions({ name, destination, timeoutMs, searchAttributes });
    if (!fresh) return ensureStarted(temporal, 'destination', options);
    // One of an earlier outage may be about to end: told to look again, it does not.
    const signalled = { ...options, signal: recheckSignal, signalArgs: [] };
    await withStartDeadline(temporal, () =>
      temporal.client.workflow.signalWithStart('destination', signalled),
    );
  }
}
