/** What arrived again after it had been acknowledged, and what may: pure, of a history. */
import { none } from './bounds.ts';
import { all, type Allowance, type Entry } from './history.ts';

export interface Repeat {
  readonly destination: string;
  readonly event: string;
  readonly key: string;
  /** When it was first acknowledged, and when it last came again. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** It came again although its acknowledgement had been written a while before. */
  readonly late: boolean;
}

/** For what was on its way: wires delay by up to 1.5 s. */
const underWayMs = 2_000;

/** Deliveries that were acknowledged and came again, each once, however often it came. */
export function repeatsOf(entries: readonly Entry[]): Repeat[] {
  const written = all(entries, 'delivered')[0]?.times ?? {};
  const first = new Map<string, number>();
  const repeats = new Map<string, Repeat>();
  for (const { at, destination, event, key, status } of all(entries, 'request')) {
    const firstMs = first.get(key);
    const late = at > (written[`${destination}/${event}`] ?? Infinity) + underWayMs;
    if (firstMs !== undefined) repeats.set(key, { destination, event, key, firstMs, lastMs: at, late });
    else if (status < 300) first.set(key, at);
  }
  return [...repeats.values()];
}

/** Without what a database that was set back sends again because of that. */
export function countedRepeats(entries: readonly Entry[]): Repeat[] {
  const lost = lostTime(entries);
  return repeatsOf(entries).filter(({ firstMs }) => !lost(firstMs));
}

export interface Storm {
  readonly fromMs: number;
  readonly toMs: number;
  /** What its faults account for. */
  readonly allowed: Allowance;
}

/** An answer of the last moment before the first fault may not be written yet. */
const beforeMs = 2_000;

/** From the first fault until all is settled again. */
export function stormsOf(entries: readonly Entry[]): Storm[] {
  const storms: Storm[] = [];
  let fromMs: number | undefined;
  let allowed = none;
  for (const entry of entries) {
    if (entry.what === 'storm') fromMs ??= entry.at - beforeMs;
    if (entry.what === 'fault')
      allowed = { repeats: allowed.repeats + entry.repeats, late: allowed.late + entry.late };
    if (entry.what === 'calm' && fromMs !== undefined) {
      storms.push({ fromMs, toMs: entry.at, allowed });
      fromMs = undefined;
      allowed = none;
    }
  }
  return storms;
}

/** Which of them it was in; -1 in a calm. */
export function stormOf(storms: readonly Storm[], atMs: number): number {
  return storms.findIndex(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs);
}

/** What was written in this time is gone: from the copy until the database was set back to it. */
export function lostTime(entries: readonly Entry[]): (atMs: number) => boolean {
  const [copied] = all(entries, 'copied');
  const [restored] = all(entries, 'restored');
  if (copied === undefined || restored === undefined) return () => false;
  return (atMs) => atMs >= copied.at && atMs <= restored.at;
}
