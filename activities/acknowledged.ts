/**
 * What this process saw acknowledged by each destination since it last had a failure to report, so that a rate can be told
 * without writing anything while all is well. Older than a window it says nothing any more.
 */
export class Acknowledged {
  readonly #byName = new Map<string, { count: number; sinceMs: number }>();

  add(destination: string, count: number, windowMs: number): void {
    const nowMs = performance.now();
    const known = this.#byName.get(destination);
    if (known === undefined || nowMs - known.sinceMs > windowMs)
      this.#byName.set(destination, { count, sinceMs: nowMs });
    else known.count += count;
  }

  /** Each is told once. */
  take(destination: string, windowMs: number): number {
    const known = this.#byName.get(destination);
    this.#byName.delete(destination);
    return known === undefined || performance.now() - known.sinceMs > windowMs ? 0 : known.count;
  }
}
