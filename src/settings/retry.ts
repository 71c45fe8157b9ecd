/** `retry` as written → with every default filled in. */
import type { RetryPolicy } from '../core/destination.ts';
import { ms } from './durations.ts';

/** As outbox.yaml writes it. */
export interface RetryInput {
  readonly initialInterval?: string;
  readonly backoffCoefficient?: number;
  readonly maximumInterval?: string;
  readonly maximumAttempts?: number;
  readonly scheduleToCloseTimeout?: string;
  readonly jitter?: number;
  readonly schedule?: readonly string[];
  readonly retryAfter?: { readonly honor?: boolean; readonly maximum?: string };
}

type RetryDefaults = Omit<RetryPolicy, 'scheduleMs'>;

export function normaliseRetry(input: RetryInput, defaults: RetryDefaults): RetryPolicy {
  const scheduleMs = input.schedule?.map((entry) => ms(entry, 0)) ?? null;
  return {
    ...(scheduleMs === null ? normaliseBackoff(input, defaults) : describeSchedule(scheduleMs)),
    maximumAttempts: input.maximumAttempts ?? (scheduleMs?.length ?? defaults.maximumAttempts - 1) + 1,
    scheduleToCloseTimeoutMs: ms(input.scheduleToCloseTimeout, defaults.scheduleToCloseTimeoutMs),
    jitter: input.jitter ?? defaults.jitter,
    scheduleMs,
    retryAfter: {
      honor: input.retryAfter?.honor ?? defaults.retryAfter.honor,
      maximumMs: ms(input.retryAfter?.maximum, defaults.retryAfter.maximumMs),
    },
  };
}

type Backoff = Pick<RetryPolicy, 'initialIntervalMs' | 'backoffCoefficient' | 'maximumIntervalMs'>;

function normaliseBackoff(input: RetryInput, defaults: RetryDefaults): Backoff {
  return {
    initialIntervalMs: ms(input.initialInterval, defaults.initialIntervalMs),
    backoffCoefficient: input.backoffCoefficient ?? defaults.backoffCoefficient,
    maximumIntervalMs: ms(input.maximumInterval, defaults.maximumIntervalMs),
  };
}

/** Unused beside a schedule, but true of it: a reader of the stored form is not misled by defaults that do not apply. */
function describeSchedule(scheduleMs: readonly number[]): Backoff {
  return {
    initialIntervalMs: scheduleMs[0] as number,
    backoffCoefficient: 1,
    maximumIntervalMs: Math.max(...scheduleMs),
  };
}
