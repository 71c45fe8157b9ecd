/** A destination's policy as written → with every default filled in and every duration in milliseconds. */
import type { CircuitConfig, DeliveryPolicy, RetryPolicy } from '../../core/destination.ts';
import { ms } from '../../settings/durations.ts';
import type { Mapping } from '../../settings/mapping.ts';
import type { PolicyDefaults } from './keys.ts';

/** What the shape of policyKeys took; the type's own keys in these sections are for the type. */
interface PolicyInput {
  readonly timeout?: string;
  readonly ordering?: DeliveryPolicy['ordering'];
  readonly onPark?: DeliveryPolicy['onPark'];
  readonly concurrency?: number;
  readonly rateLimit?: { readonly limit: number; readonly per: string };
  readonly retry?: RetryInput;
  readonly batch?: Partial<DeliveryPolicy['batch']>;
  readonly circuit?: CircuitInput;
}

interface RetryInput {
  readonly initialInterval?: string;
  readonly backoffCoefficient?: number;
  readonly maximumInterval?: string;
  readonly maximumAttempts?: number;
  readonly scheduleToCloseTimeout?: string;
  readonly jitter?: number;
  readonly schedule?: readonly string[];
  readonly retryAfter?: { readonly honor?: boolean; readonly maximum?: string };
}

interface CircuitInput {
  readonly enabled?: boolean;
  readonly failureRate?: number;
  readonly minimumRequests?: number;
  readonly window?: string;
  readonly unreachableInARow?: number;
  readonly probeAfter?: string;
  readonly maximumProbeInterval?: string;
}

export function normalisePolicy(written: Mapping, defaults: PolicyDefaults): DeliveryPolicy {
  const input = written as PolicyInput;
  const { rateLimit } = input;
  return {
    timeoutMs: ms(input.timeout, defaults.timeoutMs),
    retry: normaliseRetry(input.retry ?? {}, defaults.retry),
    ordering: input.ordering ?? defaults.ordering,
    onPark: input.onPark ?? defaults.onPark,
    concurrency: input.concurrency ?? defaults.concurrency,
    rateLimit: rateLimit === undefined ? null : { limit: rateLimit.limit, perMs: ms(rateLimit.per, 0) },
    batch: { ...defaults.batch, ...withoutUndefined(input.batch ?? {}) },
    circuit: normaliseCircuit(input.circuit ?? {}, defaults.circuit),
  };
}

function normaliseRetry(input: RetryInput, defaults: PolicyDefaults['retry']): RetryPolicy {
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

function normaliseBackoff(input: RetryInput, defaults: PolicyDefaults['retry']): Backoff {
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

function normaliseCircuit(input: CircuitInput, defaults: CircuitConfig): CircuitConfig {
  return {
    enabled: input.enabled ?? defaults.enabled,
    failureRate: input.failureRate ?? defaults.failureRate,
    minimumRequests: input.minimumRequests ?? defaults.minimumRequests,
    windowMs: ms(input.window, defaults.windowMs),
    unreachableInARow: input.unreachableInARow ?? defaults.unreachableInARow,
    probeAfterMs: ms(input.probeAfter, defaults.probeAfterMs),
    maximumProbeIntervalMs: ms(input.maximumProbeInterval, defaults.maximumProbeIntervalMs),
  };
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
