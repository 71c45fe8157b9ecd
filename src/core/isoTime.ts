/** The first and the last moment of the years that RFC 3339 has. */
const [first, last] = [Date.parse('0001-01-01T00:00:00Z'), Date.parse('9999-12-31T23:59:59.999Z')];

/** ISO 8601 of milliseconds since 1970. What lies beyond (PostgreSQL knows infinities) becomes the nearest that can be said: never throws. */
export function isoTime(ms: number): string {
  return new Date(Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, first), last)).toISOString();
}
