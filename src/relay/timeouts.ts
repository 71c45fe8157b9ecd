import { sharedLane } from '../core/sharedLane.ts';
import { readDestinations, readSettings } from '../storage/configuration.ts';
import type { Queryable } from '../storage/connect.ts';

const freshMs = 5_000;
/** Of a destination that is gone. */
const assumedMs = 15_000;
/** Of batches that mix destinations: what takes longer shares none (outbox.claim_shared). */
const sharedMs = 30_000;

/** The timeouts of the destinations' requests, as of some seconds ago at most: a workflow started with too short a one is cut off. */
export class Timeouts {
  readonly #db: Queryable;
  readonly #byDestination = new Map<string, number>();
  #readAt = -Infinity;
  #revision = -1;

  constructor(db: Queryable) {
    this.#db = db;
  }

  async of(destination: string): Promise<number> {
    if (destination === sharedLane) return sharedMs;
    if (!this.#byDestination.has(destination) || performance.now() - this.#readAt > freshMs) {
      this.#readAt = performance.now();
      // Thousands of them are not read again every few seconds where nothing has changed.
      const { configRevision } = await readSettings(this.#db);
      if (configRevision !== this.#revision) await this.#read();
    }
    return this.#byDestination.get(destination) ?? assumedMs;
  }

  async #read(): Promise<void> {
    const { revision, destinations } = await readDestinations(this.#db);
    for (const { name, timeoutMs } of destinations) this.#byDestination.set(name, timeoutMs);
    this.#revision = revision;
  }
}
