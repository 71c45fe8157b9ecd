import { defaults } from '../../../src/settings/limits.ts';
import type { HttpDestinationConfig } from '../../../src/destination/http/config.ts';
import type { OutgoingMessage, Sender, SendOutcome } from '../../../src/core/outcome.ts';
import { createSender, type SenderDependencies } from '../../../src/destination/senders.ts';

export const retry: HttpDestinationConfig['retry'] = {
  initialIntervalMs: 5_000,
  backoffCoefficient: 3,
  maximumIntervalMs: 3_600_000,
  maximumAttempts: 12,
  scheduleToCloseTimeoutMs: 259_200_000,
  jitter: 0.2,
  scheduleMs: null,
  retryAfter: { honor: true, maximumMs: 3_600_000 },
  nonRetryableStatusCodes: [400, 401, 403, 404, 405, 410, 413, 415, 422, 501],
};

export function destination(
  url: string,
  changes: Partial<HttpDestinationConfig> = {},
): HttpDestinationConfig {
  return {
    name: 'billing',
    type: 'http',
    url,
    method: 'POST',
    headers: {},
    timeoutMs: 5_000,
    retry,
    signing: null,
    auth: null,
    idempotencyKey: { quoted: true },
    cloudEvents: 'none',
    ordering: 'none',
    onPark: 'block',
    concurrency: 50,
    rateLimit: null,
    batch: { maximum: 1000, inFlight: 2, splitUpTo: 5 },
    circuit: { ...defaults.circuit, probeUrl: null },
    network: { allowPrivate: true },
    responseExcerpt: 200,
    ...changes,
  };
}

export const eventId = '0192f0c1-2345-7890-abcd-ef0123456789';

export function message(changes: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return {
    eventId,
    destination: 'billing',
    revision: 1,
    type: 'order.created',
    key: null,
    sequence: null,
    source: null,
    subject: null,
    contentType: 'application/json',
    payload: '{"id": 1}',
    headers: {},
    createdAt: '2026-01-02T03:04:05.678Z',
    attempt: 1,
    ...changes,
  };
}

export interface TestSender extends Sender {
  /** Sends with a signal that never fires. */
  readonly deliver: (changes?: Partial<OutgoingMessage>) => Promise<SendOutcome>;
}

const open = new Set<Sender>();

/** A sender that {@link closeSenders} ends. */
export function sender(
  url: string,
  changes: Partial<HttpDestinationConfig> = {},
  dependencies: Partial<SenderDependencies> = {},
): TestSender {
  const created = createSender(destination(url, changes), { env: {}, ...dependencies });
  open.add(created);
  return {
    send: (outgoing, signal) => created.send(outgoing, signal),
    check: created.check,
    close: () => created.close(),
    deliver: (outgoing = {}) => created.send(message(outgoing), new AbortController().signal),
  };
}

export async function closeSenders(): Promise<void> {
  const closing = [...open].map((each) => each.close());
  open.clear();
  await Promise.all(closing);
}

/** Sends one message by a sender of its own. */
export async function deliverTo(
  url: string,
  changes: Partial<HttpDestinationConfig> = {},
  outgoing: Partial<OutgoingMessage> = {},
  dependencies: Partial<SenderDependencies> = {},
): Promise<SendOutcome> {
  return sender(url, changes, dependencies).deliver(outgoing);
}
