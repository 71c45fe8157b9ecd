import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RetryPolicy } from '../../src/core/destination.ts';
import { timerLimitMs } from '../../src/core/duration.ts';
import {
  nextDelayMs,
  plainDelayMs,
  retryDecision,
  timetable,
  type RetryFacts,
} from '../../src/core/retry.ts';

const second = 1_000;
const hour = 3_600_000;

const standard: RetryPolicy = {
  initialIntervalMs: 5 * second,
  backoffCoefficient: 3,
  maximumIntervalMs: hour,
  maximumAttempts: 12,
  scheduleToCloseTimeoutMs: 72 * hour,
  jitter: 0.2,
  scheduleMs: null,
  retryAfter: { honor: true, maximumMs: hour },
};

const refusedOnce: RetryFacts = {
  policy: standard,
  outcome: { kind: 'refused', permanent: false },
  chargedAttempts: 1,
  unreachableTries: 0,
  firstAttemptAtMs: 0,
  nowMs: 0,
  random: 0.5,
  retryAfterMs: null,
};

const unreachableOnce: RetryFacts = {
  ...refusedOnce,
  outcome: { kind: 'unreachable' },
  chargedAttempts: 0,
  unreachableTries: 1,
};

const anyPolicy: fc.Arbitrary<RetryPolicy> = fc
  .record({
    initialIntervalMs: fc.integer({ min: 1, max: timerLimitMs }),
    backoffCoefficient: fc.double({ min: 1, max: 100, noNaN: true }),
    longer: fc.double({ min: 1, max: 1000, noNaN: true }),
    maximumAttempts: fc.integer({ min: 1, max: 200 }),
    scheduleToCloseTimeoutMs: fc.integer({ min: 1_000, max: 365 * 24 * hour }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    scheduleMs: fc.option(
      fc.array(fc.integer({ min: 1, max: timerLimitMs }), { minLength: 1, maxLength: 20 }),
    ),
    retryAfter: fc.record({ honor: fc.boolean(), maximumMs: fc.integer({ min: 1, max: timerLimitMs }) }),
  })
  .map(({ longer, ...policy }) => ({
    ...policy,
    maximumIntervalMs: Math.min(timerLimitMs, Math.round(policy.initialIntervalMs * longer)),
  }));

const anyExponential = anyPolicy.map((policy): RetryPolicy => ({ ...policy, scheduleMs: null }));
const anyFailures = fc.integer({ min: 1, max: 2_000 });
const anyRandom = fc.double({ min: 0, max: 1, noNaN: true });

describe('a delay', () => {
  it('grows by the coefficient up to the maximum', () => {
    const delays = Array.from({ length: 9 }, (_, index) => plainDelayMs(standard, index + 1) / second);
    expect(delays).toEqual([5, 15, 45, 135, 405, 1215, 3600, 3600, 3600]);
  });

  it('never shrinks from one failure to the next and never exceeds the maximum', () => {
    fc.assert(
      fc.property(anyExponential, anyFailures, (policy, failures) => {
        const delay = plainDelayMs(policy, failures);
        expect(plainDelayMs(policy, failures + 1)).toBeGreaterThanOrEqual(delay);
        expect(delay).toBeLessThanOrEqual(policy.maximumIntervalMs);
        expect(delay).toBeGreaterThanOrEqual(policy.initialIntervalMs);
      }),
    );
  });

  it('stays within its band of jitter, and within what a timer can wait', () => {
    fc.assert(
      fc.property(anyPolicy, anyFailures, anyRandom, (policy, failures, random) => {
        const plain = plainDelayMs(policy, failures);
        const delay = nextDelayMs(policy, failures, random);
        expect(Number.isInteger(delay)).toBe(true);
        expect(delay).toBeLessThanOrEqual(Math.min(timerLimitMs, plain * (1 + policy.jitter) + 0.5));
        expect(delay).toBeGreaterThanOrEqual(Math.min(timerLimitMs, plain * (1 - policy.jitter) - 0.5));
      }),
    );
  });

  it('reaches both edges of the band', () => {
    expect(nextDelayMs(standard, 1, 0)).toBe(4_000);
    expect(nextDelayMs(standard, 1, 0.5)).toBe(5_000);
    expect(nextDelayMs(standard, 1, 1)).toBe(6_000);
  });

  it('follows a schedule entry by entry, then repeats the last', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(timerLimitMs), { minLength: 1 }), anyFailures, (scheduleMs, failures) => {
        const expected = scheduleMs[failures - 1] ?? scheduleMs.at(-1);
        expect(plainDelayMs({ ...standard, scheduleMs }, failures)).toBe(expected);
      }),
    );
  });

  it('exists only after a failure', () => {
    expect(() => plainDelayMs(standard, 0)).toThrow(RangeError);
    expect(() => plainDelayMs(standard, 1.5)).toThrow(RangeError);
  });
});

describe('a refused attempt', () => {
  it('is tried again after the backoff', () => {
    expect(retryDecision(refusedOnce)).toEqual({ kind: 'retry', delayMs: 5_000 });
  });

  it('parks at once when it is permanent', () => {
    const outcome = { kind: 'refused', permanent: true } as const;
    expect(retryDecision({ ...refusedOnce, outcome })).toEqual({ kind: 'park', reason: 'permanent' });
  });

  it('parks exactly when the attempts are used up', () => {
    const roomy = anyPolicy.map((policy) => ({
      ...policy,
      scheduleToCloseTimeoutMs: 1_000 * 365 * 24 * hour,
    }));
    fc.assert(
      fc.property(roomy, anyFailures, anyRandom, (policy, chargedAttempts, random) => {
        const decision = retryDecision({ ...refusedOnce, policy, chargedAttempts, random });
        const expected =
          chargedAttempts >= policy.maximumAttempts
            ? { kind: 'park', reason: 'attempts-exhausted' }
            : { kind: 'retry', delayMs: nextDelayMs(policy, chargedAttempts, random) };
        expect(decision).toEqual(expected);
      }),
    );
  });

  it('parks after the first one when maximumAttempts is 1', () => {
    const policy = { ...standard, maximumAttempts: 1 };
    expect(retryDecision({ ...refusedOnce, policy })).toEqual({ kind: 'park', reason: 'attempts-exhausted' });
  });
});

describe('an unreachable destination', () => {
  it('never costs an attempt', () => {
    const facts = { ...unreachableOnce, chargedAttempts: 12, unreachableTries: 500 };
    expect(retryDecision(facts)).toEqual({ kind: 'retry', delayMs: hour });
  });

  it('backs off by the tries in a row, not by the attempts charged before', () => {
    const facts = { ...unreachableOnce, chargedAttempts: 7, unreachableTries: 2 };
    expect(retryDecision(facts)).toEqual({ kind: 'retry', delayMs: 15_000 });
  });

  it('is given up only by scheduleToCloseTimeout', () => {
    fc.assert(
      fc.property(
        anyPolicy,
        anyFailures,
        anyRandom,
        fc.nat(365 * 24 * hour),
        (policy, tries, random, nowMs) => {
          const decision = retryDecision({
            ...unreachableOnce,
            policy,
            unreachableTries: tries,
            random,
            nowMs,
          });
          const delayMs = nextDelayMs(policy, tries, random);
          const over = nowMs + delayMs > policy.scheduleToCloseTimeoutMs;
          expect(decision).toEqual(
            over ? { kind: 'park', reason: 'schedule-to-close' } : { kind: 'retry', delayMs },
          );
        },
      ),
    );
  });
});

describe('scheduleToCloseTimeout', () => {
  it('counts from the first attempt and lets a retry come due at its very end', () => {
    const policy = { ...standard, scheduleToCloseTimeoutMs: 10_000 };
    const facts = { ...refusedOnce, policy, firstAttemptAtMs: 1_000_000 };
    expect(retryDecision({ ...facts, nowMs: 1_005_000 })).toEqual({ kind: 'retry', delayMs: 5_000 });
    expect(retryDecision({ ...facts, nowMs: 1_005_001 })).toEqual({
      kind: 'park',
      reason: 'schedule-to-close',
    });
  });
});

describe('Retry-After', () => {
  it('lengthens a delay and never shortens it', () => {
    expect(retryDecision({ ...refusedOnce, retryAfterMs: 60_000 })).toEqual({
      kind: 'retry',
      delayMs: 60_000,
    });
    expect(retryDecision({ ...refusedOnce, retryAfterMs: 1 })).toEqual({ kind: 'retry', delayMs: 5_000 });
  });

  it('is clamped to retryAfter.maximum', () => {
    expect(retryDecision({ ...refusedOnce, retryAfterMs: 10 ** 13 })).toEqual({
      kind: 'retry',
      delayMs: hour,
    });
  });

  it('has no say when it is not honoured', () => {
    const policy = { ...standard, retryAfter: { honor: false, maximumMs: hour } };
    expect(retryDecision({ ...refusedOnce, policy, retryAfterMs: 60_000 })).toEqual({
      kind: 'retry',
      delayMs: 5_000,
    });
  });

  it.each([Number.NaN, -1, 0])('of %d ms changes nothing', (retryAfterMs) => {
    expect(retryDecision({ ...refusedOnce, retryAfterMs })).toEqual({ kind: 'retry', delayMs: 5_000 });
  });

  it('parks at once when it asks for more than the budget has left', () => {
    const policy = { ...standard, scheduleToCloseTimeoutMs: 30_000 };
    expect(retryDecision({ ...refusedOnce, policy, retryAfterMs: 60_000 })).toEqual({
      kind: 'park',
      reason: 'schedule-to-close',
    });
  });

  it('gives a delay between the backoff and the longer of backoff and maximum, always', () => {
    fc.assert(
      fc.property(anyPolicy, anyFailures, anyRandom, fc.double(), (policy, tries, random, retryAfterMs) => {
        const facts = { ...unreachableOnce, policy, unreachableTries: tries, random, retryAfterMs };
        const decision = retryDecision(facts);
        if (decision.kind === 'park') return;
        const backoff = nextDelayMs(policy, tries, random);
        expect(decision.delayMs).toBeGreaterThanOrEqual(backoff);
        expect(decision.delayMs).toBeLessThanOrEqual(Math.max(backoff, policy.retryAfter.maximumMs));
        expect(Number.isInteger(decision.delayMs)).toBe(true);
      }),
    );
  });
});

describe('a timetable', () => {
  it('of the default policy spans five and a half hours in twelve attempts', () => {
    const entries = timetable(standard);
    expect(entries).toHaveLength(12);
    expect(entries[0]).toEqual({ attempt: 1, afterMs: 0, sinceFirstMs: 0 });
    expect(entries[2]).toEqual({ attempt: 3, afterMs: 15_000, sinceFirstMs: 20_000 });
    expect(entries.at(-1)).toEqual({ attempt: 12, afterMs: hour, sinceFirstMs: 19_820_000 });
  });

  it('lists the attempts that retryDecision grants to an event that is always refused', () => {
    fc.assert(
      fc.property(anyPolicy, (policy) => {
        const calm = { ...policy, jitter: 0 };
        const granted: number[] = [];
        for (let nowMs = 0; ;) {
          granted.push(nowMs);
          const facts = { ...refusedOnce, policy: calm, chargedAttempts: granted.length, nowMs };
          const decision = retryDecision(facts);
          if (decision.kind === 'park') break;
          nowMs += decision.delayMs;
        }
        expect(timetable(calm).map(({ sinceFirstMs }) => sinceFirstMs)).toEqual(granted);
      }),
    );
  });
});
