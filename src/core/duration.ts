/**
 * Durations as people write them: a number and one unit, `250ms`, `15s`, `1.5h`, `7d`.
 * A bare number is refused on purpose: nobody can tell whether `timeout: 5` means seconds or milliseconds.
 */

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof unitMs;
const largestFirst: readonly Unit[] = ['d', 'h', 'm', 's', 'ms'];

/** At most three decimals and a whole number of milliseconds: `1.5s` is fine, `0.0001s` and `1.5ms` are not. */
export const durationPattern = /^(\d{1,16})(?:\.(\d{1,3}))?(ms|s|m|h|d)$/;

/** What to say when a duration was expected. */
export const durationExpected = 'a duration such as 250ms, 15s, 5m, 1h or 7d';

/** setTimeout fires at once above this (24.8 days), so nothing that feeds a Node timer may exceed it. */
export const timerLimitMs = 2 ** 31 - 1;

/** Milliseconds, or null when the text is not a duration (no unit, a sign, an unknown unit, a part of a millisecond). */
export function parseDuration(text: string): number | null {
  const match = durationPattern.exec(text);
  if (match === null) return null;
  const unit = unitMs[match[3] as Unit];
  // Whole and decimal part apart, in integers: 4.35 × 100 is 434.99999999999994 in floating point.
  const thousandths = Number((match[2] ?? '').padEnd(3, '0')) * unit;
  const ms = Number(match[1]) * unit + thousandths / 1000;
  return Number.isSafeInteger(ms) ? ms : null;
}

/** The shortest exact spelling that {@link parseDuration} reads back: 90000 → `90s`, 3600000 → `1h`. */
export function formatDuration(ms: number): string {
  assertWholeMs(ms);
  if (ms === 0) return '0s';
  const unit = largestFirst.find((candidate) => ms % unitMs[candidate] === 0) ?? 'ms';
  return `${ms / unitMs[unit]}${unit}`;
}

const spoken: Record<Unit, string> = { d: 'd', h: 'h', m: 'min', s: 's', ms: 'ms' };

/** For people, cut to the two largest units: 19820000 → `5 h 30 min`. Not meant to be read back. */
export function describeDuration(ms: number): string {
  assertWholeMs(ms);
  if (ms === 0) return '0 s';
  const parts: string[] = [];
  let rest = ms;
  const largest = largestFirst.findIndex((unit) => ms >= unitMs[unit]);
  for (const unit of largestFirst.slice(largest, largest + 2)) {
    const count = Math.floor(rest / unitMs[unit]);
    rest -= count * unitMs[unit];
    if (count > 0) parts.push(`${count} ${spoken[unit]}`);
  }
  return parts.join(' ');
}

function assertWholeMs(ms: number): void {
  if (!Number.isSafeInteger(ms) || ms < 0) {
    throw new RangeError(`A duration is a whole number of milliseconds, not ${ms}`);
  }
}
