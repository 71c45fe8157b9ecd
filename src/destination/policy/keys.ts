/** The keys every destination has: how deliveries are treated, however they travel. */
import {
  resolvers,
  type CircuitConfig,
  type DeliveryPolicy,
  type RetryPolicy,
} from '../../core/destination.ts';
import { resolutionActions } from '../../core/command.ts';
import { formatDuration } from '../../core/duration.ts';
import { bounds, defaults, secondWithinMs } from '../../settings/limits.ts';
import {
  decimal,
  duration,
  flag,
  link,
  list,
  name,
  oneOf,
  section,
  whole,
  type Keys,
} from '../../settings/shapes.ts';

/** What a destination's policy is when the file says nothing. */
export type PolicyDefaults = Pick<
  DeliveryPolicy,
  'timeoutMs' | 'concurrency' | 'ordering' | 'onPark' | 'batch'
> & {
  readonly retry: Omit<RetryPolicy, 'scheduleMs'>;
  readonly circuit: CircuitConfig;
};

export const commonDefaults: PolicyDefaults = defaults;

const retryKeys = {
  initialInterval: duration(bounds.waitMs)
    .optional()
    .describe('Delay after the first failed attempt. Default 5s.'),
  backoffCoefficient: decimal(bounds.backoffCoefficient)
    .optional()
    .describe('Each delay is the one before times this. Default 3.'),
  maximumInterval: duration(bounds.waitMs).optional().describe('No delay is longer. Default 1h.'),
  maximumAttempts: whole(bounds.maximumAttempts)
    .optional()
    .describe('Refused attempts, the first one included. Default 12, or one more than schedule has entries.'),
  scheduleToCloseTimeout: duration(bounds.scheduleToCloseMs)
    .optional()
    .describe('From the first attempt to parking, whatever happens. Default 72h.'),
  jitter: decimal(bounds.jitter).optional().describe('0.2 spreads a delay over 80 to 120 %. Default 0.2.'),
  schedule: list(duration(bounds.waitMs), bounds.scheduleEntries, 'durations such as [5s, 5m, 2h]')
    .optional()
    .describe('Explicit delays in place of initialInterval, backoffCoefficient and maximumInterval.'),
  retryAfter: section({
    honor: flag()
      .optional()
      .describe('Wait at least as long as the destination asks (Retry-After). Default true.'),
    maximum: duration(bounds.waitMs).optional().describe('But no longer than this. Default 1h.'),
  }).optional(),
};

const batchSchema = section({
  maximum: whole(bounds.batchMaximum)
    .optional()
    .describe('Deliveries that a workflow holds at a time; 1 gives each event its own. Default 2000.'),
  inFlight: whole(bounds.batchInFlight)
    .optional()
    .describe('First attempts of batches at a time. Default 2.'),
  splitUpTo: whole(bounds.splitUpTo)
    .optional()
    .describe('So many failing deliveries of a batch get a workflow each. Default 5.'),
});

const circuitKeys = {
  enabled: flag().optional().describe('Stop calling a destination that is sick. Default true.'),
  failureRate: decimal(bounds.failureRate)
    .optional()
    .describe('Share of attempts, unreachable or answered 5xx, that opens the circuit. Default 0.5.'),
  minimumRequests: whole(bounds.minimumRequests)
    .optional()
    .describe('But not before so many attempts in a window. Default 10.'),
  window: duration(bounds.circuitWindowMs).optional().describe('Default 30s.'),
  unreachableInARow: whole(bounds.unreachableInARow)
    .optional()
    .describe('So many unreachable in a row open it too. Default 5.'),
  probeAfter: duration(bounds.probeMs)
    .optional()
    .describe('From opening to the first probe; each later one waits twice as long. Default 5s.'),
  maximumProbeInterval: duration(bounds.probeMs)
    .optional()
    .describe('But never longer than this. Default 5m.'),
};

const from = (what: string) =>
  oneOf(resolvers)
    .optional()
    .describe(
      `Whom ${what} is taken from; cli: the command line, the dashboard and SQL, no signal. Default anyone.`,
    );

const resolutionsSchema = section({
  retry: from('retry'),
  edit: from('edit'),
  redirect: from('redirect'),
  discard: from('discard'),
  redirectTo: list(name(), { min: 1, max: 1000 }, 'destination names such as [audit]')
    .optional()
    .describe('Where its events may be redirected to, and nowhere else.'),
  twoPersons: section({
    for: list(
      oneOf(resolutionActions),
      { min: 1, max: resolutionActions.length },
      'actions such as [edit, discard]',
    )
      .optional()
      .describe('What two persons have to say, both proved, before it is done.'),
    lettersAbove: whole(bounds.lettersAbove)
      .optional()
      .describe('And whatever acts on more of its letters at once than this, a redrive above all.'),
    within: duration(bounds.secondWithinMs)
      .optional()
      .describe(`So long after the first one. Default ${formatDuration(secondWithinMs)}.`),
  })
    .optional()
    .describe('What one person alone cannot do.'),
});

/** Policy keys for a type: its own in `retry` and `circuit` beside the common ones, and its own defaults in the descriptions. */
export function policyKeys(
  { concurrency, timeoutMs }: PolicyDefaults,
  extra: { readonly retry?: Keys | undefined; readonly circuit?: Keys | undefined } = {},
) {
  return {
    timeout: duration(bounds.waitMs)
      .optional()
      .describe(
        `One attempt in all: connect, send, wait for the answer. Default ${formatDuration(timeoutMs)}.`,
      ),
    retry: section({ ...retryKeys, ...extra.retry }).optional(),
    ordering: oneOf(['none', 'key'])
      .optional()
      .describe("key: events of one key arrive in the order of their producers' commits. Default none."),
    onPark: oneOf(['block', 'skip'])
      .optional()
      .describe(
        'For ordering: key. Whether a parked event holds its key up, or lets it pass. Default block.',
      ),
    concurrency: whole(bounds.concurrency)
      .optional()
      .describe(`Deliveries under way at once, over all processes. Default ${concurrency}.`),
    rateLimit: section({
      limit: whole(bounds.rateLimit).describe('Attempts, retries included, over all processes.'),
      per: duration(bounds.ratePerMs).describe('In so long.'),
    }).optional(),
    batch: batchSchema.optional(),
    circuit: section({ ...circuitKeys, ...extra.circuit }).optional(),
    resolutions: resolutionsSchema
      .optional()
      .describe('Which resolutions of what is parked it takes, and from whom.'),
    runbook: link()
      .optional()
      .describe('What a person is to read who finds something parked; linked on its pages.'),
  };
}

/** Names that a type cannot take for keys of its own: they are the policy's, or the stored form's. */
export const reservedKeys: readonly string[] = [
  'name',
  'type',
  'paths',
  'timeoutMs',
  ...Object.keys(policyKeys(commonDefaults)),
];
