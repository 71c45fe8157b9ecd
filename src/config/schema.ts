/**
 * The shape of outbox.yaml: which keys there are and what each takes. What holds between keys is in rules.ts, what
 * an absent key means in normalise.ts. Every message says what was expected; issues.ts adds where and what was found.
 */
import * as z from 'zod';
import { alertKinds } from '../core/alerts.ts';
import { listenExpected, listenPattern, parseListen } from '../core/listen.ts';
import { destinationSchema } from '../destination/configured.ts';
import { httpCheckBackKeys } from '../destination/http/checkBackSettings.ts';
import type { DestinationTypes } from '../destination/registry.ts';
import { bounds } from '../settings/limits.ts';
import { kidPattern } from '../encryption/envelope.ts';
import { dashboardSchema } from './dashboardSection.ts';
import { eventsSchema } from './eventTypes.ts';
import {
  oneOf,
  duration,
  durationOrNone,
  list,
  name,
  nameExpected,
  namePattern,
  secret,
  section,
  text,
  whole,
} from '../settings/shapes.ts';

const { url, timeout, ...request } = httpCheckBackKeys;

const checkBackSchema = section({
  url,
  handler: name().optional().describe('In place of url: a function given to createWorker({ checkBacks }).'),
  timeout,
  grace: duration(bounds.graceMs).optional().describe('From prepare to the first check-back. Default 30s.'),
  schedule: list(duration(bounds.waitMs), bounds.scheduleEntries, 'durations such as [10s, 1m, 1h]')
    .optional()
    .describe('Delays between check-backs that tell nothing; after the last one a person decides.'),
  ...request,
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

const alertsSchema = section({
  to: list(name(), { min: 1, max: 100 }, 'destination names such as [ops]')
    .optional()
    .describe('They get each alert as an event of type outbox.alert.'),
  slack: list(name(), { min: 1, max: 100 }, 'destination names such as [chat]')
    .optional()
    .describe('They get what a Slack webhook takes: one text.'),
  every: duration(bounds.alertMs).optional().describe('How often it is looked. Default 30s.'),
  repeat: duration(bounds.alertMs).optional().describe('While it lasts it is said again. Default 4h.'),
  parked: whole(bounds.alertCount)
    .optional()
    .describe('More dead letters than that at one destination. Default 0.'),
  circuitOpen: duration(bounds.alertMs).optional().describe('A circuit open for longer. Default 1m.'),
  circuitFlaps: whole(bounds.alertFlaps)
    .optional()
    .describe('So many times opened within an hour. Default 3.'),
  lag: duration(bounds.alertMs).optional().describe('The oldest event waits for longer. Default 5m.'),
  housekeeping: duration(bounds.alertMs).optional().describe('No pass came to its end. Default 24h.'),
  unwritten: duration(bounds.alertMs).optional().describe('Outcomes wait to be written. Default 1m.'),
  off: list(oneOf(alertKinds), { min: 1, max: alertKinds.length }, 'kinds of alerts')
    .optional()
    .describe('Kinds that are not looked for.'),
  link: text(bounds.urlLength, 'an address')
    .optional()
    .describe('Put behind each alert; {kind} and {destination} are filled in.'),
});

const kidExpected = 'expected the id of a key: 1 to 100 of A-Z, a-z, 0-9, ., _ and -';
const keyExpected = 'expected env:NAME or file:/path: a key never stands in the file';

const encryptionSchema = section({
  current: z
    .string({ error: kidExpected })
    .regex(kidPattern, { error: kidExpected })
    .describe('The key that edits are encrypted with from now on.'),
  keys: z
    .record(
      z.string().regex(kidPattern, { error: kidExpected }),
      z
        .string({ error: keyExpected })
        .regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|file:\/[^\u0000]+)$/, { error: keyExpected }),
      { error: 'expected a mapping of key ids to env:NAME or file:/path' },
    )
    .describe('Where the 32 bytes of each stand, in base64.'),
});

const destinationsExpected = 'expected a mapping of at least one destination name to its settings';

/** Of a file that may use these types of destination. */
export function fileSchema(types: DestinationTypes) {
  return section({
    ...fileKeys,
    destinations: z.record(z.string().regex(namePattern, { error: nameExpected }), destinationSchema(types), {
      error: destinationsExpected,
    }),
  });
}

const fileKeys = {
  name: name().optional().describe('Prefixes workflow ids and the task queue.'),
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
  dashboard: dashboardSchema.optional(),
  alerts: alertsSchema.optional(),
  events: eventsSchema.optional(),
  encryption: encryptionSchema.optional(),
};

export type FileInput = z.infer<ReturnType<typeof fileSchema>>;
export type ProducerInput = z.infer<typeof producerSchema>;
