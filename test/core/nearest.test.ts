import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearestWord } from '../../src/core/nearest.ts';

const keys = ['type', 'url', 'timeout', 'retry', 'concurrency', 'maximumAttempts'];

describe('a mistyped word', () => {
  it.each([
    ['tiemout', 'timeout'],
    ['retries', 'retry'],
    ['maximum_attempts', 'maximumAttempts'],
    ['MAXIMUMATTEMPTS', 'maximumAttempts'],
    ['concurency', 'concurrency'],
    ['urls', 'url'],
  ])('%s is taken for %s', (typed, meant) => {
    expect(nearestWord(typed, keys)).toBe(meant);
  });

  it.each(['', 'x', 'colour', 'x'.repeat(100_000)])(
    'is taken for nothing when it is too far from all',
    (typed) => {
      expect(nearestWord(typed, keys)).toBeNull();
    },
  );

  it('is one step away after two neighbours change places', () => {
    expect(editDistance('ab', 'ba')).toBe(1);
    expect(editDistance('retry', 'rerty')).toBe(1);
  });

  it('is as far from a word as the word from it, and no farther than the longer one is long', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(editDistance(a, a)).toBe(0);
      }),
    );
  });
});
