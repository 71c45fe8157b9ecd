/** A destination's policy as written → with every default filled in and every duration in milliseconds. */
import type { CircuitConfig, DeliveryPolicy, ResolutionRules, TwoPersons } from '../../core/destination.ts';
import { ms } from '../../settings/durations.ts';
import { secondWithinMs } from '../../settings/limits.ts';
import { normaliseRetry, type RetryInput } from '../../settings/retry.ts';
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
  readonly resolutions?: ResolutionsInput;
  readonly runbook?: string;
}

interface ResolutionsInput extends Partial<Omit<ResolutionRules, 'twoPersons'>> {
  readonly twoPersons?: {
    readonly for?: TwoPersons['for'];
    readonly lettersAbove?: number;
    readonly within?: string;
  };
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
    // Absent where the file has none, so that what was applied before stays what it was.
    ...(input.resolutions === undefined ? {} : { resolutions: normaliseResolutions(input.resolutions) }),
    ...(input.runbook === undefined ? {} : { runbook: input.runbook }),
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

function normaliseResolutions(input: ResolutionsInput): ResolutionRules {
  const { retry = 'anyone', edit = 'anyone', redirect = 'anyone', discard = 'anyone', twoPersons } = input;
  return {
    ...{ retry, edit, redirect, discard, redirectTo: input.redirectTo ?? null },
    ...(twoPersons === undefined
      ? {}
      : {
          twoPersons: {
            for: twoPersons.for ?? [],
            lettersAbove: twoPersons.lettersAbove ?? null,
            withinMs: ms(twoPersons.within, secondWithinMs),
          },
        }),
  };
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
