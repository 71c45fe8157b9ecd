import type { SharedLane as Told } from '../../activities/index.ts';

/** So long a slow one has batches of its own. Where so many are slow it is this machine, or the way to all of them. */
const slowest = { forMs: 60_000, count: 50 };
/** So long a busy one has them, and longer while it stays busy: more rows than this within a while. */
const busy = { forMs: 10_000, rows: 250, withinMs: 5_000 };

interface Own {
  untilMs: number;
  rows: number;
  sinceMs: number;
}

/**
 * Which destinations share batches, as this process sees it: all but those that were slow or busy lately. What the database knows of them (a
 * rate, a circuit) it looks at itself. Between the relay, which claims, and the attempts of the same process, which see how answers come.
 */
export class SharedLane implements Told {
  readonly #own = new Map<string, Own>();
  readonly #settling = new Map<string, number>();

  /** Lanes with batches of their own. */
  get own(): string[] {
    const now = performance.now();
    for (const [name, { untilMs }] of this.#own) if (untilMs < now) this.#own.delete(name);
    return [...this.#own.keys()];
  }

  /** Those of which a failure is being judged just now: until that is known nothing more is sent. */
  get aside(): string[] {
    return [...this.#settling.keys()].filter((name) => !this.#own.has(name));
  }

  isOwn(name: string): boolean {
    return this.#own.has(name);
  }

  slow(name: string): void {
    if (this.#own.has(name) || this.#own.size < slowest.count) this.#leave(name, slowest.forMs);
  }

  /** It waits for a batch of its own. */
  needsOwn(name: string): void {
    if (!this.#own.has(name)) this.#leave(name, busy.forMs);
  }

  /** Rows were claimed for it, into batches of its own. */
  claimed(name: string, rows: number): void {
    const own = this.#own.get(name);
    if (own === undefined) return;
    const now = performance.now();
    if (now - own.sinceMs > busy.withinMs) Object.assign(own, { rows: 0, sinceMs: now });
    own.rows += rows;
    if (own.rows > busy.rows) this.#leave(name, busy.forMs);
  }

  settling(name: string): void {
    this.#settling.set(name, (this.#settling.get(name) ?? 0) + 1);
  }

  settled(name: string): void {
    const left = (this.#settling.get(name) ?? 0) - 1;
    if (left > 0) this.#settling.set(name, left);
    else this.#settling.delete(name);
  }

  #leave(name: string, forMs: number): void {
    const now = performance.now();
    const own = this.#own.get(name) ?? { untilMs: 0, rows: 0, sinceMs: now };
    own.untilMs = Math.max(own.untilMs, now + forMs);
    this.#own.set(name, own);
  }
}
