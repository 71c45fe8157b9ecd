import { describe, expect, test } from 'vitest';
import { defaults } from '../../src/settings/limits.ts';
import { askedToWaitMs, asksToWait, claimAfterWait, Pace } from '../../src/core/askedToWait.ts';
import { countPhase, isReturned, judge, stopsEarly, Tally, untouched } from '../../src/core/circuit.ts';

const honoured = { ...defaults.retry, scheduleMs: null, retryAfter: { honor: true, maximumMs: 60_000 } };
const ignored = { ...defaults.retry, scheduleMs: null, retryAfter: { honor: false, maximumMs: 60_000 } };

const limited = { kind: 'unreachable', status: 429, errorClass: 'http-429', retryAfterMs: 1_000 } as const;
const overloaded = { ...limited, status: 503, errorClass: 'http-503' } as const;

describe('who asks to wait', () => {
  test('429 and 503 with a Retry-After that is honoured, and nobody else', () => {
    expect(asksToWait(honoured, limited)).toBe(true);
    expect(asksToWait(honoured, overloaded)).toBe(true);
    expect(asksToWait(ignored, limited)).toBe(false);
    expect(asksToWait(honoured, { ...limited, retryAfterMs: null })).toBe(false);
    expect(asksToWait(honoured, { ...limited, retryAfterMs: 0 })).toBe(false);
    expect(asksToWait(honoured, { ...limited, status: 502 })).toBe(false);
    expect(asksToWait(honoured, { kind: 'refused', status: 429, retryAfterMs: 1_000 })).toBe(false);
  });

  test('the longest wait counts, clamped', () => {
    expect(askedToWaitMs(honoured, [limited, { retryAfterMs: 7_000 }, { retryAfterMs: null }])).toBe(7_000);
    expect(askedToWaitMs(honoured, [{ retryAfterMs: 3_600_000 }])).toBe(60_000);
    expect(askedToWaitMs(honoured, [])).toBe(0);
  });
});

describe('what it does to the destination', () => {
  const tallyOf = (acknowledged: number, asked: number, failure: typeof limited | typeof overloaded) => {
    const tally = new Tally();
    for (let n = 0; n < acknowledged; n++) tally.acknowledge();
    for (let n = 0; n < asked; n++) tally.fail(failure, { asked: true });
    return tally;
  };

  test('beside answered events, any number of 429 says nothing against it: the attempt stops, and waits', () => {
    const tally = tallyOf(3, 50, limited);
    expect(stopsEarly(defaults.circuit, tally)).toBe(true);
    expect(tally.sick).toBe(0);
    const verdict = judge(defaults.circuit, tally, untouched);
    expect(verdict).toEqual({ kind: 'wait' });
    expect(isReturned(verdict, untouched, limited, true)).toBe(true);
    expect(isReturned(verdict, untouched, { ...limited, status: 502 }, false)).toBe(false);
  });

  test('in vain, 50 of them at once count as one; the fifth time in a row opens the circuit', () => {
    const tally = tallyOf(0, 50, limited);
    expect([tally.inVain, tally.sick, tally.total]).toEqual([1, 1, 1]);
    expect(judge(defaults.circuit, tally, { ...untouched, unreachableInARow: 1 }).kind).toBe('wait');
    expect(judge(defaults.circuit, tally, { ...untouched, unreachableInARow: 5 }).kind).toBe('open');
  });

  test('503 counts as ever: many open the circuit, few wait', () => {
    expect(judge(defaults.circuit, tallyOf(3, 20, overloaded), untouched).kind).toBe('open');
    expect(judge(defaults.circuit, tallyOf(3, 2, overloaded), untouched).kind).toBe('wait');
  });

  test('where it was opened or paused meanwhile, that stands', () => {
    const tally = tallyOf(3, 2, limited);
    expect(judge(defaults.circuit, tally, { ...untouched, paused: true }).kind).toBe('return');
  });

  test('where the circuit is off it waits all the same', () => {
    expect(judge({ ...defaults.circuit, enabled: false }, tallyOf(0, 5, limited), untouched).kind).toBe(
      'wait',
    );
  });

  test('a probe that is answered holds, whatever was one too many beside it', () => {
    expect(
      countPhase(
        20,
        Array.from({ length: 30 }, () => limited),
      ).down,
    ).toBe(0);
    expect(countPhase(0, [limited]).down).toBe(1);
  });
});

describe('the pace after it', () => {
  const at = (ms: number) => () => ms;

  test('an eighth at once when the wait is over, twice as many a second later, and soon all', () => {
    const pace = new Pace();
    expect(pace.limit(50, at(0))).toBe(50);
    pace.toldToWait(50, at(0), 3_000);
    expect([3_000, 4_000, 5_000, 6_000, 7_000].map((ms) => pace.limit(50, at(ms)))).toEqual([
      6, 12, 24, 48, 50,
    ]);
    expect(pace.limit(50, at(3_000))).toBe(50);
  });

  test('those under way when the first was told so lower it no further; the next time does', () => {
    const pace = new Pace();
    for (let n = 0; n < 30; n++) pace.toldToWait(50, at(n), 1_000);
    expect(pace.limit(50, at(1_029))).toBe(6);
    pace.toldToWait(50, at(1_100), 1_000);
    expect(pace.limit(50, at(2_100))).toBe(1);
    pace.toldToWait(50, at(2_200), 1_000);
    expect(pace.limit(50, at(3_200))).toBe(1);
  });

  test('claims stay small, never nothing', () => {
    expect([0, 4, 20, 500].map(claimAfterWait)).toEqual([10, 10, 40, 1_000]);
  });
});
