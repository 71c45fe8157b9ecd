/** What must hold of what was written and what had its effect, however often everything in between was killed. */

export interface Fact {
  /** `webhook-id`. */
  readonly event: string;
  readonly key: string;
  /** Counts up in each key, in the order of writing. */
  readonly number: number;
}

export interface Sums {
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  readonly unexpected: readonly string[];
  readonly reordered: readonly string[];
}

/** @param effects in their order */
export function sumsOf(written: readonly Fact[], effects: readonly Fact[]): Sums {
  const times = new Map<string, number>();
  const last = new Map<string, number>();
  const reordered: string[] = [];
  for (const { event, key, number } of effects) {
    times.set(event, (times.get(event) ?? 0) + 1);
    const before = last.get(key) ?? -1;
    if (number < before) reordered.push(`${key}: ${number} after ${before}`);
    last.set(key, Math.max(number, before));
  }
  const known = new Set(written.map(({ event }) => event));
  return {
    lost: [...known].filter((event) => !times.has(event)),
    doubled: [...times].filter(([, count]) => count > 1).map(([event, count]) => `${event}: ${count} times`),
    unexpected: [...times.keys()].filter((event) => !known.has(event)),
    reordered,
  };
}
