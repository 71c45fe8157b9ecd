const delayMs = { first: 200, maximum: 5_000 };

interface Sick {
  failures: number;
  readonly since: number;
  due: number;
  says: string;
}

/** Lanes whose claim fails by itself, and when each is asked for again. */
export class SickLanes {
  readonly #byName = new Map<string, Sick>();

  get names(): string[] {
    return [...this.#byName.keys()];
  }

  has(lane: string): boolean {
    return this.#byName.has(lane);
  }

  isDue(lane: string, nowMs: number): boolean {
    const sick = this.#byName.get(lane);
    return sick !== undefined && nowMs >= sick.due;
  }

  /** Answers whether that is news. */
  failed(lane: string, says: string, nowMs: number): boolean {
    const known = this.#byName.get(lane);
    const failures = (known?.failures ?? 0) + 1;
    const due = nowMs + Math.min(delayMs.first * 2 ** failures, delayMs.maximum);
    this.#byName.set(lane, { failures, since: known?.since ?? nowMs, due, says });
    return known === undefined;
  }

  /** Answers whether it had failed. */
  recovered(lane: string): boolean {
    return this.#byName.delete(lane);
  }

  /** Others are somebody else's now. */
  keepOnly(lanes: readonly string[]): void {
    for (const lane of this.#byName.keys()) if (!lanes.includes(lane)) this.#byName.delete(lane);
  }

  /** The one that has failed longest. */
  worst(): { readonly forMs: number; readonly says: string } {
    const [worst] = [...this.#byName.values()].sort((a, b) => a.since - b.since);
    return { forMs: worst === undefined ? 0 : performance.now() - worst.since, says: worst?.says ?? '' };
  }
}
