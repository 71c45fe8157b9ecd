/** Chance that can be repeated: the same seed, the same choices (not the same run: what processes make of them is theirs). */
export interface Random {
  /** 0 ≤ x < 1. */
  next(): number;
  /** from ≤ n ≤ to, whole. */
  between(from: number, to: number): number;
  pick<T>(items: readonly [T, ...T[]]): T;
  /** One of the entries, each as often as its weight says. */
  weighted<T>(entries: readonly (readonly [weight: number, value: T])[]): T;
  /** A stream of its own, so that one who draws more does not change what others draw. */
  fork(name: string): Random;
}

export function seeded(seed: number): Random {
  // mulberry32
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const between = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    between,
    pick: (items) => items[between(0, items.length - 1)] ?? items[0],
    weighted: (entries) => {
      let left = next() * entries.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, value] of entries) if ((left -= weight) < 0) return value;
      throw new Error('nothing to choose from');
    },
    fork: (name) =>
      seeded(Array.from(name).reduce((hash, letter) => Math.imul(hash, 31) + letter.charCodeAt(0), seed)),
  };
}
