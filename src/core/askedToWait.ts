/**
 * A receiver that is well and asks for time: 429 or 503 with Retry-After. The lane waits as asked, then goes on with less. Pure: the
 * clock is passed in.
 */
import type { RetryPolicy } from './destination.ts';
import type { FailedOutcome } from './circuit.ts';
import { honouredRetryAfterMs } from './retry.ts';

/** The part of a failure that tells when to come again. */
export type Asking = Pick<FailedOutcome, 'retryAfterMs'>;

/** Whether a failure is 429 or 503 with a Retry-After that the policy honours: not only this event has to wait. */
export function asksToWait(
  retry: RetryPolicy,
  { kind, status, retryAfterMs }: Pick<FailedOutcome, 'kind' | 'status' | 'retryAfterMs'>,
): boolean {
  const isAsking = kind === 'unreachable' && (status === 429 || status === 503);
  return isAsking && honouredRetryAfterMs(retry, retryAfterMs) > 0;
}

/** The longest that these failures asked us to wait, as far as the policy honours it; 0 when none asked. */
export function askedToWaitMs(retry: RetryPolicy, failures: readonly Asking[]): number {
  return Math.max(0, ...failures.map(({ retryAfterMs }) => honouredRetryAfterMs(retry, retryAfterMs)));
}

/** Rows of each claim in the minute after such a wait: some more than the receiver took before it asked. */
export function claimAfterWait(acknowledged: number): number {
  return Math.max(2 * acknowledged, 10);
}

const slowDownBy = 8;
const doublesEveryMs = 1_000;

/** How many requests at once a receiver gets: an eighth after it asked for time, twice as many for each second without asking again. */
export class Pace {
  #lowered: number | null = null;
  #growsFromMs = 0;

  limit(concurrency: number, nowMs: () => number): number {
    if (this.#lowered === null) return concurrency;
    const grown = this.#lowered * 2 ** Math.max((nowMs() - this.#growsFromMs) / doublesEveryMs, 0);
    if (grown < concurrency) return Math.floor(grown);
    this.#lowered = null;
    return concurrency;
  }

  /** Requests that were under way as the first of them was told so lower nothing further. */
  toldToWait(concurrency: number, nowMs: () => number, waitMs: number): void {
    const now = nowMs();
    if (this.#lowered === null || now >= this.#growsFromMs)
      this.#lowered = Math.max(Math.floor(this.limit(concurrency, nowMs) / slowDownBy), 1);
    this.#growsFromMs = Math.max(this.#growsFromMs, now + waitMs);
  }
}
