import { readDestinations } from '../storage/configuration.ts';
import type { Queryable } from '../storage/connect.ts';

const freshMs = 5_000;
/** Of a destination that is gone. */
const assumedMs = 15_000;

/** The timeouts of the destinations' requests, as of some seconds ago at most: a workflow started with too short a one is cut off. */
export class Timeouts {
  readonly #db: Queryable;
  readonly #byDestination = new Map<string, number>();
  #readAt = -Infinity;

  constructor(db: Queryable) {
    this.#db = db;
  }

  async of(destination: string): Promise<number> {
    if (!this.#byDestination.has(destination) || performance.now() - this.#readAt > freshMs) {
      this.#readAt = performance.now();
      const { destinations } = await readDestinations(this.#db);
      for (const { name, timeoutMs } of destinations) this.#byDestination.set(name, timeoutMs);
    }
    return this.#byDestination.get(destination) ?? assumedMs;
  }
}
