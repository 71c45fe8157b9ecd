import type { OpenedRows } from '../storage/attempts.ts';
import { Intakes } from './intakes.ts';
import { SharedLane } from './sharedLane.ts';

/** Older than this a batch may have been taken over by somebody else; asking PostgreSQL is cheaper than sending twice. */
const freshMs = 5_000;

/**
 * From the relay to the worker of the same process: batches with their first run open and their first rows loaded, so that the
 * first attempt needs no look into PostgreSQL before it sends. A hint only: what is not taken in time is forgotten, and whoever
 * attempts the batch opens its next run, which fences this one.
 */
export class Handover {
  /** The open batches that the relay feeds. */
  readonly intakes = new Intakes();
  /** Which destinations share batches. */
  readonly shared = new SharedLane();
  readonly #waiting = new Map<string, OpenedRows & { readonly since: number }>();

  /** `since`: when the claim was asked for (performance.now()). A process that was stopped after it must not take it for fresh. */
  put(workflowId: string, opened: OpenedRows, since: number): void {
    const now = performance.now();
    // In order of arrival: the stale ones come first.
    for (const [id, earlier] of this.#waiting) {
      if (now - earlier.since < freshMs) break;
      this.#waiting.delete(id);
    }
    this.#waiting.set(workflowId, { ...opened, since });
  }

  /** Each batch at most once. */
  take(workflowId: string): OpenedRows | undefined {
    const found = this.#waiting.get(workflowId);
    this.#waiting.delete(workflowId);
    return found !== undefined && performance.now() - found.since < freshMs ? found : undefined;
  }
}
