/** Moments as people write them: ISO 8601 with its offset, so that nobody has to guess the zone, or a duration from or before now. Pure. */
import { parseDuration } from './duration.ts';

const isoPattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(?:Z|([+-])(\d{2}):(\d{2}))$/;
const lastMs = Date.UTC(9999, 0, 1);

/** Milliseconds since 1970; a duration counts from `nowMs`, back (-1) or on (1). Null for what is neither, or not between 1970 and 9999. */
export function momentMs(text: string, nowMs: number, direction: 1 | -1): number | null {
  const duration = parseDuration(text);
  const ms = duration === null ? isoMs(text) : nowMs + direction * duration;
  return ms !== null && ms > 0 && ms < lastMs ? ms : null;
}

function isoMs(text: string): number | null {
  const match = isoPattern.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(text);
  if (match === null || Number.isNaN(ms)) return null;
  const [, , , sign, hours, minutes] = match;
  const offset = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * (sign === '-' ? -1 : 1);
  // JavaScript takes February 30th for March 1st or 2nd.
  return new Date(ms + offset * 60_000).toISOString().startsWith(text.slice(0, 10)) ? ms : null;
}
