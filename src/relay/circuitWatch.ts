import type { Log } from '../../activities/index.ts';
import { destinationWorkflowId } from '../core/ids.ts';
import { destinationStartOptions } from '../circuit/startOptions.ts';
import { circuitsToWatch, forgetWatch, type CircuitToWatch } from '../storage/circuits.ts';
import { noteDestinationPaused } from '../storage/paused.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { ensureStarted, withStartDeadline } from '../temporal/ensureStarted.ts';
import { noteOf } from '../temporal/pauseNote.ts';
import { standingOf, type WorkflowPause } from '../temporal/standing.ts';
import type { Visibility } from '../temporal/visibility.ts';
import { recheckSignal } from '../../workflows/contract.ts';
import type { Timeouts } from './timeouts.ts';

/** A held destination's workflow is looked for this often, by whichever relay comes first. */
const lookEveryMs = 15_000;
const startsPerPass = 50;

export interface CircuitWatchOptions {
  readonly db: Queryable;
  readonly temporal: Temporal;
  readonly name: string | null;
  readonly visibility: Visibility;
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
      if (circuit.fresh)
        log.warn(
          { destination: circuit.destination },
          'destination is held: its circuit opened, or somebody paused it',
        );
      await this.#lookAfter(circuit).catch(async (error: unknown) => {
        await forgetWatch(db, circuit.destination);
        throw error;
      });
    }
  }

  /** One that was started before is looked at first: a start that finds it costs Temporal more, each 15 s for as long as the outage lasts. */
  async #lookAfter(circuit: CircuitToWatch): Promise<void> {
    if (circuit.fresh) return this.#start(circuit);
    const { temporal, name } = this.#options;
    const { is, pause } = await standingOf(temporal, destinationWorkflowId(name, circuit.destination));
    if (is !== 'running' && is !== 'paused') await this.#start(circuit);
    await this.#notePause(circuit.destination, pause);
  }

  async #start({ destination, fresh }: CircuitToWatch): Promise<void> {
    const { temporal, name, visibility, timeouts } = this.#options;
    const timeoutMs = await timeouts.of(destination);
    await visibility.withAttributes(async (searchAttributes) => {
      const options = destinationStartOptions({ name, destination, timeoutMs, searchAttributes });
      if (!fresh) return void (await ensureStarted(temporal, 'destination', options));
      // One of an earlier outage may be about to end: told to look again, it does not.
      const signalled = { ...options, signal: recheckSignal, signalArgs: [] };
      await withStartDeadline(temporal, () =>
        temporal.client.workflow.signalWithStart('destination', signalled),
      );
    });
  }

  /** A paused one probes nothing and takes no command: its destination stays held. */
  async #notePause(destination: string, pause: WorkflowPause | null): Promise<void> {
    const { db, log } = this.#options;
    const note = noteOf(pause);
    if (!(await noteDestinationPaused(db, destination, note)) || note === null) return;
    log.warn(
      { destination, pause: note },
      'its workflow was paused: it is not probed until that is unpaused there',
    );
  }
}
