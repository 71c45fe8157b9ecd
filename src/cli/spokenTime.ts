/** Times as people say them. */
import { describeDuration } from '../core/duration.ts';

/** `3 min 12 s`; `-` for nothing. Two servers' clocks may differ: what is negative is now. */
export function describeAge(ms: number | null): string {
  if (ms === null) return '-';
  return ms < 1000 ? 'now' : describeDuration(Math.floor(ms / 1000) * 1000);
}

/** `2030-01-31 08:00:00` in UTC. */
export function shortTime(iso: string): string {
  return iso.slice(0, 19).replace('T', ' ');
}
