/** What requests for paced work, redrives and replays, have in common. Pure: their workflows read them too. */
import { durationExpected } from './duration.ts';
import { momentMs } from './moment.ts';

/** A second; letters of a redrive, events of a replay. */
export const rates = { minimum: 0.01, maximum: 10_000 } as const;

export function isRate(value: unknown): value is number {
  return typeof value === 'number' && value >= rates.minimum && value <= rates.maximum;
}

/** ISO 8601 in UTC; undefined for nothing, null for what is no time. */
export function pastOf(value: unknown, nowMs: number): string | null | undefined {
  if (value === undefined) return undefined;
  const ms = typeof value === 'string' ? momentMs(value, nowMs, -1) : null;
  return ms === null ? null : new Date(ms).toISOString();
}

export const pastsExpected = `"since" and "until" are moments such as 2030-01-31T08:00:00Z, or how long ago: ${durationExpected}`;

/** Not empty, and what PostgreSQL stores: no NUL and no half of a surrogate pair. */
export function isFilledText(value: unknown, charactersMax: number): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    value.length <= charactersMax &&
    !/\0|\p{Surrogate}/u.test(value)
  );
}

/** Null for one JSON object; else what to say. */
export function objectProblem(value: unknown, example: string): string | null {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? null : `expected one JSON object, such as ${example}`;
}
