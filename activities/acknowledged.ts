import { LaneMemory } from '../src/core/laneMemory.ts';

/**
 * What this process saw acknowledged by each destination since it last had a failure to report, so that a rate can be told
 * without writing anything while all is well. Older than a window it says nothing any more.
 */
export class Acknowledged {
  readonly #forgivenUntil = new Map<string, number>();
  readonly #memories = new Map<string, LaneMemory>();
  readonly #byName = new Map<string, { count: number; sinceMs: number }>();

  add(destination: string, count: number, windowMs: number): void {
    const nowMs = performance.now();
    const known = this.#byName.get(destination);
    if (known === undefined || nowMs - known.sinceMs > windowMs)
      this.#byName.set(destination, { count, sinceMs: nowMs });
    else known.count += count;
  }

  /** Kept as long as the process. */
  memoryOf(destination: string): LaneMemory {
    const known = this.#memories.get(destination) ?? new LaneMemory();
    this.#memories.set(destination, known);
    return known;
  }

  /** As the circuit was read last; null forgives nothing. */
  noteForgiven(destination: string, ms: number | null): void {
    if (ms === null) this.#forgivenUntil.delete(destination);
    else this.#forgivenUntil.set(destination, performance.now() + ms);
  }

  /** Milliseconds for which 5xx are the events' own yet, as far as this process knows. */
  forgivenMs(destination: string): number | null {
    const ms = (this.#forgivenUntil.get(destination) ?? -Infinity) - performance.now();
    return ms > 0 ? ms : null;
  }

  /** Each is told once. */
  take(destination: string, windowMs: number): number {
    const known = this.#byName.get(destination);
    this.#byName.delete(destination);
    return known === undefined || performance.now() - known.sinceMs > windowMs ? 0 : known.count;
  }
}
