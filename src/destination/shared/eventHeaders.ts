/**
 * The event's own headers on their way out.
 * - Names that belong to us (`webhook-*`, `outbox-*`, `idempotency-key`, …) or to the transport (`host`,
 *   `content-length`, hop-by-hop) are left out: an event that was copied from an incoming request carries them, and
 *   none of them may be forged by an event.
 * - What HTTP cannot carry (a name that is no token, a value with CR, LF, NUL or beyond ISO 8859-1) refuses the
 *   message for good: sending without it would change what the producer said, and an edit can mend it.
 */
import { traceContext } from '../../core/traceContext.ts';

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const illegalInValue = /[^\t\x20-\x7e\x80-\xff]/;

/** Set by the transport, or about this connection only (RFC 9110 section 7.6.1). */
const transportNames: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'trailer',
  'upgrade',
  'expect',
]);

/** Reserved for events only: a destination may set them for all its messages. */
const destinationMaySet: ReadonlySet<string> = new Set(['content-type', 'content-encoding', 'user-agent']);

/** traceparent and tracestate are passed on by {@link pushTraceContext}. */
const ownNames: ReadonlySet<string> = new Set([
  ...destinationMaySet,
  'idempotency-key',
  'traceparent',
  'tracestate',
]);

const cloudEventNames: ReadonlySet<string> = new Set(
  [
    'specversion',
    'id',
    'source',
    'type',
    'time',
    'subject',
    'partitionkey',
    'datacontenttype',
    'dataschema',
  ].map((name) => `ce-${name}`),
);

export function isHeaderName(name: string): boolean {
  return token.test(name);
}

export function isHeaderValue(value: string): boolean {
  return !illegalInValue.test(value);
}

/** Whether a name, in lower case, is closed to events. */
export function isReservedName(name: string): boolean {
  return (
    transportNames.has(name) ||
    ownNames.has(name) ||
    name.startsWith('webhook-') ||
    name.startsWith('outbox-')
  );
}

/** Whether a destination may not set a header of this name, in lower case. */
export function isClosedToDestinations(name: string): boolean {
  return isReservedName(name) && !destinationMaySet.has(name);
}

export interface EventHeaderRules {
  /** Names the destination sets itself, in lower case; they win. */
  readonly destinationNames: ReadonlySet<string>;
  /** Whether `ce-*` is ours to set. */
  readonly cloudEvents: boolean;
}

/** Appends the event's headers that may be sent. Returns what is wrong with the first that no request can carry. */
export function pushEventHeaders(
  headers: string[],
  eventHeaders: Readonly<Record<string, unknown>>,
  rules: EventHeaderRules,
): string | null {
  for (const name of Object.keys(eventHeaders)) {
    if (!isHeaderName(name)) return `the event's header ${JSON.stringify(name)} is not a header name`;
    const lowerName = name.toLowerCase();
    if (isReservedName(lowerName) || rules.destinationNames.has(lowerName)) continue;
    if (rules.cloudEvents && cloudEventNames.has(lowerName)) continue;
    const value = eventHeaders[name];
    if (typeof value !== 'string') return `the event's header ${name} is not text`;
    if (!isHeaderValue(value))
      return `the value of the event's header ${name} holds a character no header can carry`;
    headers.push(name, value);
  }
  return null;
}

export function pushTraceContext(headers: string[], eventHeaders: Readonly<Record<string, unknown>>): void {
  for (const header of traceContext(eventHeaders)) headers.push(...header);
}
