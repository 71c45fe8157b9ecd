import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { slotsToKeep } from '../../src/worker/shares.ts';

describe('what a process keeps of its share', () => {
  it.each([
    ['idle, it gives all that is needed', { slots: 50, peak: 0 }, { needed: 50, claimants: 2 }, 0],
    ['idle, it gives no more than is needed', { slots: 50, peak: 0 }, { needed: 3, claimants: 2 }, 47],
    ['busy, it keeps an even part', { slots: 50, peak: 120 }, { needed: 50, claimants: 2 }, 25],
    ['busy, it gives one where one is needed', { slots: 50, peak: 120 }, { needed: 1, claimants: 2 }, 49],
    ['at its even part, it gives nothing', { slots: 25, peak: 120 }, { needed: 25, claimants: 2 }, 25],
    ['lightly used, it keeps what it uses', { slots: 25, peak: 4 }, { needed: 50, claimants: 2 }, 4],
    [
      'with more claimants than slots it gives its last',
      { slots: 1, peak: 9 },
      { needed: 2, claimants: 51 },
      0,
    ],
  ])('%s', (_what, share, wish, kept) => {
    expect(slotsToKeep(share, { concurrency: 50, ...wish })).toBe(kept);
  });

  it('is never more than it had, and never less than the smaller of its use and its even part', () => {
    const count = fc.integer({ min: 0, max: 100 });
    fc.assert(
      fc.property(count, count, count, fc.integer({ min: 1, max: 20 }), (slots, peak, needed, claimants) => {
        const kept = slotsToKeep({ slots, peak }, { concurrency: 100, needed, claimants });
        expect(kept).toBeLessThanOrEqual(slots);
        expect(kept).toBeGreaterThanOrEqual(Math.min(slots, peak, Math.floor(100 / claimants)));
        expect(slots - kept).toBeLessThanOrEqual(needed);
      }),
    );
  });
});
