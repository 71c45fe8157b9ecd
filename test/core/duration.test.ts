import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeDuration, formatDuration, parseDuration } from '../../src/core/duration.ts';

describe('a duration', () => {
  it.each([
    ['250ms', 250],
    ['15s', 15_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['0s', 0],
    ['1.5s', 1_500],
    ['0.25s', 250],
    ['1.5h', 5_400_000],
    ['4.35s', 4_350],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    '',
    '5',
    's',
    '-5s',
    '+5s',
    '5 parsecs',
    '5 s',
    '5S',
    '1h30m',
    '1e3s',
    '.5s',
    '5.s',
    '1.5ms',
    '0.0005s',
  ])('%j is none', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  it.each(['99999999999999999999s', '999999999999999d', '٣s', '5s\n', 'NaNs', 'Infinitys'])(
    '%j is none',
    (text) => {
      expect(parseDuration(text)).toBeNull();
    },
  );

  it('is written so that it reads back as the same', () => {
    fc.assert(
      fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  it('is written in the largest unit that divides it', () => {
    expect([0, 250, 90_000, 3_600_000, 259_200_000].map(formatDuration)).toEqual([
      '0s',
      '250ms',
      '90s',
      '1h',
      '3d',
    ]);
  });

  it('is described by its two largest units', () => {
    expect(describeDuration(19_820_000)).toBe('5 h 30 min');
    expect(describeDuration(65_000)).toBe('1 min 5 s');
    expect(describeDuration(3_600_000)).toBe('1 h');
    expect(describeDuration(0)).toBe('0 s');
  });

  it('is never printed from a broken number', () => {
    expect(() => formatDuration(1.5)).toThrow(RangeError);
    expect(() => formatDuration(-1)).toThrow(RangeError);
    expect(() => describeDuration(Number.NaN)).toThrow(RangeError);
  });
});
