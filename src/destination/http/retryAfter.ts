/** Retry-After, RFC 9110 section 10.2.3: a number of seconds or one of the three date forms of section 5.6.7. */

const weekday = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const longWeekday = '(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)';
const month = '(?<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)';
const time = '(?<hour>\\d{2}):(?<minute>\\d{2}):(?<second>\\d{2})';

const dateForms = [
  // Sun, 06 Nov 1994 08:49:37 GMT
  new RegExp(`^${weekday}, (?<day>\\d{2}) ${month} (?<year>\\d{4}) ${time} GMT$`),
  // Sunday, 06-Nov-94 08:49:37 GMT
  new RegExp(`^${longWeekday}, (?<day>\\d{2})-${month}-(?<year>\\d{2}) ${time} GMT$`),
  // Sun Nov  6 08:49:37 1994
  new RegExp(`^${weekday} ${month} (?<day>[ \\d]\\d) ${time} (?<year>\\d{4})$`),
];

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * How long the receiver asks us to wait, in milliseconds, not clamped: 0 for a date that has passed,
 * `Number.MAX_SAFE_INTEGER` at most, null for anything that is neither a number of seconds nor a date.
 */
export function parseRetryAfter(value: string | null, nowMs: number): number | null {
  if (value === null) return null;
  const text = value.replace(/^[ \t]+|[ \t]+$/g, '');
  // Digits first: Date.parse('120') is the year 120 in V8.
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, Number.MAX_SAFE_INTEGER);
  const dateMs = parseHttpDate(text, nowMs);
  return dateMs === null ? null : Math.max(0, dateMs - nowMs);
}

/** Milliseconds since 1970 of an HTTP date in any of its three forms; null for anything else, 31 February included. */
export function parseHttpDate(text: string, nowMs: number): number | null {
  for (const form of dateForms) {
    const groups = form.exec(text)?.groups;
    if (groups !== undefined) return utcMs(groups, nowMs);
  }
  return null;
}

function utcMs(groups: Readonly<Record<string, string | undefined>>, nowMs: number): number | null {
  const monthIndex = months.indexOf(groups.month ?? '');
  const [day, hour, minute, second] = [groups.day, groups.hour, groups.minute, groups.second].map(Number);
  const year = fullYear(groups.year ?? '', nowMs);
  if (hour! > 23 || minute! > 59 || second! > 60) return null;
  // setUTCFullYear, as Date.UTC reads the years 0 to 99 as 1900 to 1999.
  const date = new Date(0);
  date.setUTCFullYear(year, monthIndex, day);
  if (date.getUTCMonth() !== monthIndex || date.getUTCDate() !== day) return null;
  return date.setUTCHours(hour!, minute, second);
}

/** RFC 9110: a two-digit year that seems more than 50 years ahead is the most recent past year with these digits. */
function fullYear(digits: string, nowMs: number): number {
  if (digits.length === 4) return Number(digits);
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(digits);
  return year > thisYear + 50 ? year - 100 : year;
}
