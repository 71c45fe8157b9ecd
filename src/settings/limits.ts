/**
 * Defaults and bounds of outbox.yaml in one place; the schema, the rules and docs/configuration.md follow them. A destination type
 * has its own beside it.
 */
import { apiTokenLength } from '../core/api.ts';
import { timerLimitMs } from '../core/duration.ts';
import type { BatchConfig, CircuitConfig, RetentionConfig } from '../core/destination.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

export const defaults = {
  timeoutMs: 15 * second,
  retry: {
    initialIntervalMs: 5 * second,
    backoffCoefficient: 3,
    maximumIntervalMs: hour,
    maximumAttempts: 12,
    scheduleToCloseTimeoutMs: 72 * hour,
    jitter: 0.2,
    retryAfter: { honor: true, maximumMs: hour },
  },
  ordering: 'none',
  onPark: 'block',
  concurrency: 50,
  batch: { maximum: 2000, inFlight: 2, splitUpTo: 5 } satisfies BatchConfig,
  circuit: {
    enabled: true,
    failureRate: 0.5,
    minimumRequests: 10,
    windowMs: 30 * second,
    unreachableInARow: 5,
    probeAfterMs: 5 * second,
    maximumProbeIntervalMs: 5 * minute,
  } satisfies CircuitConfig,
  retention: {
    eventsMs: 7 * day,
    deliveredMs: 7 * day,
    attemptsMs: 7 * day,
    deadLettersMs: 90 * day,
    auditMs: 365 * day,
    dedupKeysMs: 90 * day,
  } satisfies RetentionConfig,
  checkBack: {
    timeoutMs: 5 * second,
    graceMs: 30 * second,
    /** With the first one 15 check-backs, over about six hours. */
    scheduleMs: [
      ...[10 * second, 30 * second],
      ...[1, 2, 3, 5, 10, 10, 20, 30, 30, 60, 60, 120].map((minutes) => minutes * minute),
    ],
  },
  api: { listen: '127.0.0.1:8080' },
  alerts: {
    everyMs: 30 * second,
    repeatMs: 4 * hour,
    parked: 0,
    circuitOpenMs: minute,
    circuitFlaps: 3,
    lagMs: 5 * minute,
    housekeepingMs: 24 * hour,
    unwrittenMs: minute,
  },
} as const;

/** How long what one person said waits for another. */
export const secondWithinMs = hour;

export const bounds = {
  /** Waits and deadlines may feed setTimeout, which fires at once above this. */
  waitMs: { min: 1, max: timerLimitMs },
  /** Only compared with clocks, never slept. A year is far beyond what a receiver is worth waiting for. */
  scheduleToCloseMs: { min: second, max: 365 * day },
  backoffCoefficient: { min: 1, max: 100 },
  /** Above this an event fails for weeks; 0 for "no limit", as in Temporal, is not taken: nothing would ever park. */
  maximumAttempts: { min: 1, max: 10_000 },
  jitter: { min: 0, max: 1 },
  scheduleEntries: { min: 1, max: 100 },
  concurrency: { min: 1, max: 1000 },
  rateLimit: { min: 1, max: 1_000_000 },
  ratePerMs: { min: 100, max: day },
  batchMaximum: { min: 1, max: 10_000 },
  batchInFlight: { min: 1, max: 16 },
  splitUpTo: { min: 0, max: 50 },
  /** 0 would open it at the first failure among any number of successes. */
  failureRate: { min: 0.01, max: 1 },
  minimumRequests: { min: 1, max: 100_000 },
  circuitWindowMs: { min: second, max: hour },
  unreachableInARow: { min: 1, max: 10_000 },
  /** Sooner would be a load of its own; a day later nobody remembers why nothing arrives. */
  probeMs: { min: 100, max: day },
  /** A partition holds a day; ten years is an archive's task. */
  retentionMs: { min: day, max: 3650 * day },
  patternLength: { min: 1, max: 255 },
  whereLength: { min: 1, max: 4096 },
  urlLength: { min: 1, max: 2048 },
  /** Below a second the relay's own pace decides, and an ordinary commit would be asked about. */
  graceMs: { min: 1, max: timerLimitMs },
  apiTokens: { min: 1, max: 10 },
  /** Only compared with clocks. */
  alertMs: { min: second, max: 365 * day },
  alertCount: { min: 0, max: 1_000_000_000 },
  alertFlaps: { min: 2, max: 1_000 },
  /** A second one who comes later than a week has another matter in hand. */
  secondWithinMs: { min: second, max: 7 * day },
  lettersAbove: { min: 1, max: 1_000_000_000 },
  /** Characters; 16 random ones cannot be guessed over a network. */
  apiTokenLength,
} as const;
