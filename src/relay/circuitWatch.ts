import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Log } from '../../activities/index.ts';
import { destinationStartOptions } from '../circuit/startOptions.ts';
import { circuitsToWatch, forgetWatch, type CircuitToWatch } from '../storage/circuits.ts';
import { readDestinations } from '../storage/configuration.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { recheckSignal } from '../../workflows/contract.ts';

/** A held destination's workflow is looked for this often, by whichever relay comes first. */
const lookEveryMs = 15_000;
const startsPerPass = 50;
const startDeadlineMs = 10_000;
const assumedTimeoutMs = 15_000;

export interface CircuitWatchOptions {
  readonly db: Queryable;
  readonly temporal: Temporal;
  readonly name: string | null;
  readonly searchAttributes: boolean;
  readonly log: Log;
}

/** Sees to it that each destination that is paused, or whose circuit is not closed, has its workflow: at first, and ever after. */
export class CircuitWatch {
  readonly #options: CircuitWatchOptions;

  constructor(options: CircuitWatchOptions) {
    this.#options = options;
  }

  async pass(): Promise<void> {
    const { db, log } = this.#options;
    const held = await circuitsToWatch(db, lookEveryMs, startsPerPass);
    if (held.length === 0) return;
    const { destinations } = await readDestinations(db);
    const timeouts = new Map(destinations.map(({ name, timeoutMs }) => [name, timeoutMs]));
    for (const circuit of held) {
      if (circuit.fresh) log.warn({ destination: circuit.destination }, 'destination is held');
      const timeoutMs = timeouts.get(circuit.destination) ?? assumedTimeoutMs;
      await this.#start(circuit, timeoutMs).catch(async (error: unknown) => {
        await forgetWatch(db, circuit.destination);
        throw error;
      });
    }
  }

  async #start({ destination, fresh }: CircuitToWatch, timeoutMs: number): Promise<void> {
    const { temporal, name, searchAttributes } = this.#options;
    const { workflow } = temporal.client;
    const options = destinationStartOptions({ name, destination, timeoutMs, searchAttributes });
    await temporal.client.withDeadline(Date.now() + startDeadlineMs, async () => {
      // One of an earlier outage may be about to end: told to look again, it does not.
      if (fresh)
        return void (await workflow.signalWithStart('destination', {
          ...options,
          signal: recheckSignal,
          signalArgs: [],
        }));
      await workflow.start('destination', options).catch((error: unknown) => {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      });
    });
  }
}
