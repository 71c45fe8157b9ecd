/** Whether what a consumer is told can be right: counts, durations, names of keys. */
import { durationExpected, parseDuration } from '../core/duration.ts';
import { nearestWord } from '../core/nearest.ts';
import { invalid } from '../inbox/message.ts';

export function checkedCount(name: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || Number(value) < 1) throw invalid(name, 'a whole number from 1', value);
  return Number(value);
}

/** Milliseconds. */
export function checkedDuration(name: string, written: unknown): number {
  const ms = typeof written === 'string' ? parseDuration(written) : null;
  if (ms === null) throw invalid(name, durationExpected, written);
  return ms;
}

/** Refuses what nobody reads, with the nearest key that is. */
export function checkKeys(where: string, given: object, known: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const meant = nearestWord(name, known);
    throw invalid(where, meant === null ? `one of ${known.join(', ')}` : `${meant}, perhaps`, name);
  }
}
