/**
 * When to try again and when to stop. Pure arithmetic: clock and randomness are passed in, so that workflows can
 * replay it and tests can pin it.
 */
import type { RetryPolicy } from './destination.ts';
import { timerLimitMs } from './duration.ts';
import type { SendOutcome } from './outcome.ts';

/** The part of a {@link SendOutcome} that decides: whose fault it was, and whether asking again can help. */
export type FailedAttempt =
  | Pick<Extract<SendOutcome, { kind: 'refused' }>, 'kind' | 'permanent'>
  | Pick<Extract<SendOutcome, { kind: 'unreachable' }>, 'kind'>;

export interface RetryFacts {
  readonly policy: RetryPolicy;
  readonly outcome: FailedAttempt;
  /** Refused attempts of this delivery so far, this one included if it was refused. */
  readonly chargedAttempts: number;
  /** Unreachable tries in a row, this one included if it was unreachable; a refusal sets it back to 0. */
  readonly unreachableTries: number;
  /** When the first attempt began. A caller that stops the clock (an open circuit) moves this forward. */
  readonly firstAttemptAtMs: number;
  readonly nowMs: number;
  /** 0..1, as from Math.random(); 0.5 gives the delay without jitter. */
  readonly random: number;
  /** What Retry-After asked for, not yet clamped; null when it asked nothing. */
  readonly retryAfterMs: number | null;
}

export type ParkReason = 'permanent' | 'attempts-exhausted' | 'schedule-to-close';

export type RetryDecision =
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'park'; readonly reason: ParkReason };

/** The delay after the n-th failure (1 = the first), before jitter. With `schedule`, its last entry repeats. */
export function plainDelayMs(policy: RetryPolicy, failures: number): number {
  if (!Number.isInteger(failures) || failures < 1) {
    throw new RangeError(`A delay follows a failure: expected a count of 1 or more, got ${failures}`);
  }
  const { scheduleMs } = policy;
  if (scheduleMs !== null && scheduleMs.length > 0) {
    return scheduleMs[Math.min(failures, scheduleMs.length) - 1] as number;
  }
  const grown = policy.initialIntervalMs * policy.backoffCoefficient ** (failures - 1);
  return Math.round(Math.min(grown, policy.maximumIntervalMs));
}

/**
 * The delay after the n-th failure with jitter: `random` 0 gives the lower edge of the band, 1 the upper one.
 * Jitter comes after the cap: were it before, all deliveries at `maximumInterval` would come back in step.
 */
export function nextDelayMs(policy: RetryPolicy, failures: number, random: number): number {
  const plain = plainDelayMs(policy, failures);
  const delay = Math.round(plain * (1 + policy.jitter * (2 * random - 1)));
  return Math.min(Math.max(delay, 0), timerLimitMs);
}

/**
 * What follows a failed attempt. Refusals are charged to `maximumAttempts`; being unreachable never is, and only
 * `scheduleToCloseTimeout` ends it. A retry that would come due after that budget is not waited for: it parks now,
 * as Temporal's own retries do.
 */
export function retryDecision(facts: RetryFacts): RetryDecision {
  const { policy, outcome } = facts;
  if (outcome.kind === 'refused') {
    if (outcome.permanent) return { kind: 'park', reason: 'permanent' };
    if (facts.chargedAttempts >= policy.maximumAttempts)
      return { kind: 'park', reason: 'attempts-exhausted' };
  }
  const failures = outcome.kind === 'refused' ? facts.chargedAttempts : facts.unreachableTries;
  const backoffMs = nextDelayMs(policy, Math.max(failures, 1), facts.random);
  const delayMs = Math.max(backoffMs, honouredRetryAfterMs(policy, facts.retryAfterMs));
  const dueAtMs = facts.nowMs + delayMs;
  if (dueAtMs > facts.firstAttemptAtMs + policy.scheduleToCloseTimeoutMs) {
    return { kind: 'park', reason: 'schedule-to-close' };
  }
  return { kind: 'retry', delayMs };
}

/** How long Retry-After may hold us: clamped to `retryAfter.maximum`; 0 when absent or not honoured. */
export function honouredRetryAfterMs(policy: RetryPolicy, retryAfterMs: number | null): number {
  if (!policy.retryAfter.honor || retryAfterMs === null || !(retryAfterMs > 0)) return 0;
  return Math.min(Math.ceil(retryAfterMs), policy.retryAfter.maximumMs);
}

export interface TimetableEntry {
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** After the attempt before it; 0 for the first. */
  readonly afterMs: number;
  readonly sinceFirstMs: number;
}

/**
 * The attempts an event gets that is refused every time, without jitter, Retry-After and the attempts' own duration.
 * Shorter than `maximumAttempts` when `scheduleToCloseTimeout` ends it first.
 */
export function timetable(policy: RetryPolicy): TimetableEntry[] {
  const entries: TimetableEntry[] = [{ attempt: 1, afterMs: 0, sinceFirstMs: 0 }];
  let sinceFirstMs = 0;
  for (let attempt = 2; attempt <= policy.maximumAttempts; attempt++) {
    const afterMs = plainDelayMs(policy, attempt - 1);
    sinceFirstMs += afterMs;
    if (sinceFirstMs > policy.scheduleToCloseTimeoutMs) break;
    entries.push({ attempt, afterMs, sinceFirstMs });
  }
  return entries;
}
