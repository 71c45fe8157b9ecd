/** What arrived again after it had been acknowledged, and what may: pure, of a history. */
import { all, type Entry } from './history.ts';

export interface Repeat {
  readonly destination: string;
  readonly event: string;
  readonly key: string;
  /** When it was first acknowledged, and when it last came again. */
  readonly firstMs: number;
  readonly lastMs: number;
}

/** Deliveries that were acknowledged and came again, each once, however often it came. */
export function repeatsOf(entries: readonly Entry[]): Repeat[] {
  const first = new Map<string, number>();
  const repeats = new Map<string, Repeat>();
  for (const { at, destination, event, key, status } of all(entries, 'request')) {
    const firstMs = first.get(key);
    if (firstMs !== undefined) repeats.set(key, { destination, event, key, firstMs, lastMs: at });
    else if (status < 300) first.set(key, at);
  }
  return [...repeats.values()];
}

export interface Storm {
  readonly fromMs: number;
  readonly toMs: number;
  /** How many deliveries its faults may cause to be sent again. */
  readonly allowed: number;
}

/** An answer of the last moment before the first fault may not be written yet. */
const beforeMs = 2_000;

/** From the first fault until all is settled again. */
export function stormsOf(entries: readonly Entry[]): Storm[] {
  const storms: Storm[] = [];
  let fromMs: number | undefined;
  let allowed = 0;
  for (const entry of entries) {
    if (entry.what === 'storm') fromMs ??= entry.at - beforeMs;
    if (entry.what === 'fault') allowed += entry.repeats;
    if (entry.what === 'calm' && fromMs !== undefined) {
      storms.push({ fromMs, toMs: entry.at, allowed });
      fromMs = undefined;
      allowed = 0;
    }
  }
  return storms;
}

/** What was written in this time is gone: from the copy until the database was set back to it. */
export function lostTime(entries: readonly Entry[]): (atMs: number) => boolean {
  const [copied] = all(entries, 'copied');
  const [restored] = all(entries, 'restored');
  if (copied === undefined || restored === undefined) return () => false;
  return (atMs) => atMs >= copied.at && atMs <= restored.at;
}
