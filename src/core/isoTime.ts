/** The first and the last moment of the years that RFC 3339 has. */
const [first, last] = [Date.parse('0001-01-01T00:00:00Z'), Date.parse('9999-12-31T23:59:59.999Z')];

/** Of the latest second that was asked for: what is sent one after another was mostly written so, too, and a Date costs thirty times as much. */
let second = -1;
let upToSecond = '';

/** ISO 8601 of milliseconds since 1970. What lies beyond (PostgreSQL knows infinities) becomes the nearest that can be said: never throws. */
export function isoTime(ms: number): string {
  const within = Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, first), last);
  if (within < 0) return new Date(within).toISOString();
  const whole = Math.floor(within / 1_000);
  if (whole !== second) {
    upToSecond = new Date(whole * 1_000).toISOString().slice(0, -4);
    second = whole;
  }
  return `${upToSecond}${String(Math.floor(within - whole * 1_000)).padStart(3, '0')}Z`;
}
