/**
 * The shape of outbox.yaml: which keys there are and what each takes. What holds between keys is in rules.ts, what
 * an absent key means in normalise.ts. Every message says what was expected; issues.ts adds where and what was found.
 */
import * as z from 'zod';
import { durationExpected, durationPattern, formatDuration, parseDuration } from '../core/duration.ts';
import { listenExpected, listenPattern, parseListen } from '../core/listen.ts';
import { bounds, defaults } from './limits.ts';

interface Range {
  readonly min: number;
  readonly max: number;
}

/** A mapping that takes these keys and no others. */
function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const error = (issue: { code?: string | undefined }) =>
    issue.code === 'unrecognized_keys'
      ? undefined
      : `expected a mapping with ${listKeys(Object.keys(shape))}`;
  return z.strictObject(shape, { error });
}

function listKeys(keys: readonly string[]): string {
  return keys.length === 1 ? `the key ${keys[0]}` : `keys such as ${keys.slice(0, 3).join(', ')}`;
}

function whole({ min, max }: Range) {
  const error = `expected a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

function decimal({ min, max }: Range) {
  const error = `expected a number from ${min} to ${max}`;
  return z.number({ error }).min(min, { error }).max(max, { error });
}

function duration({ min, max }: Range, otherwise = '') {
  const range = `from ${formatDuration(min)} to ${describeLimit(max)}`;
  return z
    .string({ error: `expected ${otherwise}${durationExpected}` })
    .regex(durationPattern, { error: `expected ${otherwise}${durationExpected}`, abort: true })
    .refine((text) => withinRange(text, { min, max }), { error: `expected ${otherwise}a duration ${range}` });
}

/** `0` or a duration: what is zero is not kept at all. */
function durationOrNone(range: Range) {
  return z.union([z.literal(0), duration(range, '0 or ')], { error: `expected 0 or ${durationExpected}` });
}

function withinRange(text: string, { min, max }: Range): boolean {
  const ms = parseDuration(text);
  return ms !== null && ms >= min && ms <= max;
}

/** 2147483647ms says nothing to a person. */
function describeLimit(max: number): string {
  return max === bounds.waitMs.max ? '24d, the limit of a Node timer,' : formatDuration(max);
}

function flag() {
  return z.boolean({ error: 'expected true or false' });
}

function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, { error: `expected ${values.join(' or ')}` });
}

export const namePattern = /^[a-z][a-z0-9-]{0,62}$/;
const nameExpected = 'expected 1 to 63 of a-z, 0-9 and -, beginning with a letter';

function name() {
  return z.string({ error: nameExpected }).regex(namePattern, { error: nameExpected });
}

/** Without control characters: PostgreSQL cannot store NUL, and terminals act on others. Tab and line feed may be. */
function text({ min, max }: Range, what: string) {
  const error = `expected ${what}, ${min} to ${max} characters and no control characters`;
  const pattern = new RegExp(`^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f]{${min},${max}}$`);
  return z.string({ error }).regex(pattern, { error });
}

/** `env:NAME` or a literal. What is in it is checked in httpRules.ts and never printed. */
function secret() {
  const error = 'expected env:NAME, the name of an environment variable';
  return z.string({ error }).regex(/[\s\S]/, { error });
}

/**
 * Not `.min` and `.max`: zod runs those on anything with a `length`, and `{ length: { … } }` then throws a TypeError
 * in place of being no list.
 */
function list<Item extends z.ZodType>(item: Item, { min, max }: Range, what: string) {
  const error = `expected a list of ${min} to ${max} ${what}`;
  return z
    .array(item, { error })
    .refine((items) => items.length >= min && items.length <= max, { error })
    .meta({ minItems: min, maxItems: max });
}

const retrySchema = section({
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
    honor: flag().optional().describe('Wait at least as long as Retry-After asks. Default true.'),
    maximum: duration(bounds.waitMs).optional().describe('But no longer than this. Default 1h.'),
  }).optional(),
  nonRetryableStatusCodes: list(
    whole(bounds.statusCode),
    { min: 0, max: 300 },
    'status codes such as [400, 422]',
  )
    .optional()
    .describe(`Answers that park at once. Default ${defaults.retry.nonRetryableStatusCodes.join(', ')}.`),
});

const authSchema = section({
  bearer: secret().optional().describe('env:NAME of a bearer token.'),
  basic: section({
    username: text({ min: 1, max: 255 }, 'a user name'),
    password: secret().describe('env:NAME of the password.'),
  }).optional(),
});

const signingSchema = section({
  scheme: oneOf(['standard-webhooks']),
  secrets: list(secret(), bounds.signingSecrets, 'secrets such as [env:BILLING_SECRET]'),
});

const networkSchema = section({
  allowPrivate: flag()
    .optional()
    .describe(
      'Private and loopback addresses. Link-local and cloud metadata are never reached. Default true.',
    ),
});

const batchSchema = section({
  maximum: whole(bounds.batchMaximum).optional().describe('Deliveries in one workflow. Default 2000.'),
  inFlight: whole(bounds.batchInFlight)
    .optional()
    .describe('First attempts of batches at a time. Default 2.'),
  splitUpTo: whole(bounds.splitUpTo)
    .optional()
    .describe('So many failing deliveries of a batch get a workflow each. Default 5.'),
});

const circuitSchema = section({
  enabled: flag().optional().describe('Stop calling a destination that is sick. Default true.'),
  failureRate: decimal(bounds.failureRate)
    .optional()
    .describe('Share of requests, unreachable or answered 5xx, that opens the circuit. Default 0.5.'),
  minimumRequests: whole(bounds.minimumRequests)
    .optional()
    .describe('But not before so many requests in a window. Default 10.'),
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
  probeUrl: text(bounds.urlLength, 'an http:// or https:// address')
    .optional()
    .describe('Asked with GET in place of sending events as probes. ${NAME} is filled in.'),
});

export const httpDestinationSchema = section({
  type: z.literal('http', { error: 'expected http' }).describe('How the destination is reached.'),
  url: text(bounds.urlLength, 'an http:// or https:// address').describe(
    '${NAME} is filled in from the environment.',
  ),
  method: oneOf(['POST', 'PUT', 'PATCH']).optional().describe('Default POST.'),
  headers: z
    .record(z.string(), z.string({ error: 'expected text (numbers and true or false need quotes)' }), {
      error: 'expected a mapping of header names to values',
    })
    .optional()
    .describe('Added to every request. A value env:NAME is read from the environment.'),
  timeout: duration(bounds.waitMs)
    .optional()
    .describe('One attempt in all: connect, send, wait, read. Default 15s.'),
  retry: retrySchema.optional(),
  signing: signingSchema.optional(),
  auth: authSchema.optional(),
  idempotencyKey: section({
    quoted: flag()
      .optional()
      .describe('Idempotency-Key as a quoted string, as the IETF draft has it. Default true.'),
  }).optional(),
  cloudEvents: oneOf(['none', 'binary', 'structured']).optional().describe('Default none.'),
  ordering: oneOf(['none', 'key'])
    .optional()
    .describe("key: events of one key arrive in the order of their producers' commits. Default none."),
  onPark: oneOf(['block', 'skip'])
    .optional()
    .describe('For ordering: key. Whether a parked event holds its key up, or lets it pass. Default block.'),
  concurrency: whole(bounds.concurrency)
    .optional()
    .describe('Requests at once, over all processes. Default 50.'),
  rateLimit: section({
    limit: whole(bounds.rateLimit).describe('Requests, retries included, over all processes.'),
    per: duration(bounds.ratePerMs).describe('In so long.'),
  }).optional(),
  batch: batchSchema.optional(),
  circuit: circuitSchema.optional(),
  network: networkSchema.optional(),
  responseExcerpt: whole(bounds.responseExcerpt)
    .optional()
    .describe('Characters kept of the answer to a failed attempt. Default 512.'),
});

const routeSchema = section({
  match: text(bounds.patternLength, "an event type pattern such as order.* or '*'").describe(
    '* stands for any run of characters, dots included.',
  ),
  where: text(bounds.whereLength, 'a jsonpath')
    .optional()
    .describe('jsonpath over the payload, evaluated by PostgreSQL.'),
  to: list(name(), { min: 1, max: 1000 }, 'destination names such as [billing]'),
});

const checkBackSchema = section({
  url: text(bounds.urlLength, 'an http:// or https:// address')
    .optional()
    .describe('Asked by POST. ${NAME} is filled in from the environment.'),
  handler: name().optional().describe('In place of url: a function given to createWorker({ checkBacks }).'),
  timeout: duration(bounds.waitMs).optional().describe('One check-back in all. Default 5s.'),
  grace: duration(bounds.graceMs).optional().describe('From prepare to the first check-back. Default 30s.'),
  schedule: list(duration(bounds.waitMs), bounds.scheduleEntries, 'durations such as [10s, 1m, 1h]')
    .optional()
    .describe('Delays between check-backs that tell nothing; after the last one a person decides.'),
  signing: signingSchema.optional(),
  auth: authSchema.optional(),
  network: networkSchema.optional(),
});

const producerSchema = section({
  checkBack: checkBackSchema.describe('How to ask what became of a half message.'),
});

const listenExpectation = `expected ${listenExpected}`;

const retentionSchema = section({
  events: duration(bounds.retentionMs)
    .optional()
    .describe('Payloads, from when they were written. What is unsettled stays longer. Default 7d.'),
  delivered: durationOrNone(bounds.retentionMs)
    .optional()
    .describe('Which event reached which destination; 0 keeps no record. Default 7d.'),
  attempts: duration(bounds.retentionMs)
    .optional()
    .describe('Failed attempts, and the success that ended them. Default 7d.'),
  deadLetters: duration(bounds.retentionMs)
    .optional()
    .describe('Resolved dead letters, from their resolution. Default 90d.'),
  audit: duration(bounds.retentionMs)
    .optional()
    .describe('Who did what, and configurations that were replaced. Default 365d.'),
  dedupKeys: duration(bounds.retentionMs)
    .optional()
    .describe('How long a dedup_key is remembered. Default 90d.'),
});

const apiSchema = section({
  listen: z
    .string({ error: listenExpectation })
    .regex(listenPattern, { error: listenExpectation, abort: true })
    .refine((written) => parseListen(written) !== null, { error: listenExpectation })
    .optional()
    .describe('Default 127.0.0.1:8080.'),
  tokens: list(secret(), bounds.apiTokens, 'tokens such as [env:OUTBOX_API_TOKEN]')
    .optional()
    .describe(
      'Bearer tokens, any of which is taken. Without them only a loopback address may be listened on.',
    ),
});

const destinationsExpected = 'expected a mapping of at least one destination name to its settings';

export const fileSchema = section({
  name: name().optional().describe('Prefixes workflow ids and the task queue.'),
  destinations: z.record(z.string().regex(namePattern, { error: nameExpected }), httpDestinationSchema, {
    error: destinationsExpected,
  }),
  routes: list(routeSchema, { min: 0, max: 10_000 }, 'routes').optional(),
  retention: retentionSchema.optional(),
  metrics: section({
    listen: z
      .string({ error: listenExpectation })
      .regex(listenPattern, { error: listenExpectation, abort: true })
      .refine((text) => parseListen(text) !== null, { error: listenExpectation })
      .describe('Where /metrics, /healthz and /readyz are served, such as 127.0.0.1:9464.'),
  }).optional(),
  producers: z
    .record(z.string().regex(namePattern, { error: nameExpected }), producerSchema, {
      error: 'expected a mapping of producer names to their settings',
    })
    .optional(),
  api: apiSchema.optional(),
});

export type FileInput = z.infer<typeof fileSchema>;
export type ProducerInput = z.infer<typeof producerSchema>;
export type HttpDestinationInput = z.infer<typeof httpDestinationSchema>;
