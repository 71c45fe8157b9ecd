import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRetryAfter } from '../../src/destination/http/retryAfter.ts';

const now = Date.UTC(1994, 10, 6, 8, 49, 37);

describe('Retry-After', () => {
  it.each([
    ['0', 0],
    ['120', 120_000],
    [' 120\t', 120_000],
    ['00120', 120_000],
    ['10000000000', 10_000_000_000_000],
    ['9'.repeat(400), Number.MAX_SAFE_INTEGER],
    ['Sun, 06 Nov 1994 08:49:47 GMT', 10_000],
    ['Sunday, 06-Nov-94 08:49:47 GMT', 10_000],
    ['Sun Nov  6 08:49:47 1994', 10_000],
    ['Sun Nov 16 08:49:37 1994', 864_000_000],
    ['Sun, 06 Nov 1994 08:49:27 GMT', 0],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['Sat, 31 Dec 1994 23:59:60 GMT', Date.UTC(1995, 0, 1) - now],
  ])('%j is a wait of %i ms', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });

  it.each([
    '',
    ' ',
    '-5',
    '+5',
    '1.5',
    '1e3',
    '0x10',
    '6m5s',
    '120s',
    'soon',
    '120, 60',
    '１２０',
    '2026-01-01T00:00:00Z',
    'Sun, 06 Nov 1994 08:49:37 PST',
    'Sun, 06 Nov 1994 08:49:37 GMT junk',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 31 Feb 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:60:00 GMT',
    'sun, 06 nov 1994 08:49:37 gmt',
    'Sun, 06 Foo 1994 08:49:37 GMT',
  ])('%j asks nothing', (value) => {
    expect(parseRetryAfter(value, now)).toBeNull();
  });

  it('that is absent asks nothing', () => {
    expect(parseRetryAfter(null, now)).toBeNull();
  });

  it('reads a two-digit year as the nearest that is at most 50 years ahead', () => {
    const in2026 = Date.UTC(2026, 0, 1);
    expect(parseRetryAfter('Friday, 01-Jan-27 00:00:00 GMT', in2026)).toBe(365 * 86_400_000);
    expect(parseRetryAfter('Friday, 01-Jan-99 00:00:00 GMT', in2026)).toBe(0);
  });

  it('in seconds is those seconds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), (seconds) => {
        expect(parseRetryAfter(String(seconds), now)).toBe(seconds * 1000);
      }),
    );
  });

  it('as a date is the time until then, never negative', () => {
    const date = fc.date({ min: new Date(0), max: new Date(Date.UTC(9999, 0, 1)), noInvalidDate: true });
    fc.assert(
      fc.property(date, (when) => {
        const whole = Math.floor(when.getTime() / 1000) * 1000;
        expect(parseRetryAfter(when.toUTCString(), now)).toBe(Math.max(0, whole - now));
      }),
    );
  });

  it('of any text is null or a whole number that is not negative', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const waitMs = parseRetryAfter(text, now);
        expect(waitMs === null || (Number.isSafeInteger(waitMs) && waitMs >= 0)).toBe(true);
      }),
    );
  });
});
