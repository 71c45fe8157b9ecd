import { OutboxError } from '../errors.ts';

/** What a producer hands to `enqueue`. */
export interface NewEvent {
  /** Dotted by convention, `order.created`; 1 to 255 bytes. Routes match on it. */
  readonly type: string;
  /**
   * Any JSON value. To keep numbers that JavaScript cannot hold, pass the text instead: `payloadText`.
   * Exactly one of the two; at most 1 MiB as PostgreSQL prints it.
   */
  readonly payload?: unknown;
  /** The payload as JSON text, stored digit for digit. */
  readonly payloadText?: string;
  /** Groups events that belong to one thing (an order's id); 1 to 1024 bytes. */
  readonly key?: string;
  /** Sent with every delivery; names and values are strings. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Not delivered before this moment. */
  readonly deliverAt?: Date;
  /** Your own UUIDv7, for a commit whose outcome you could not learn: the same id and content again changes nothing. */
  readonly id?: string;
  readonly source?: string;
  readonly subject?: string;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** A key of your own that names this event for as long as `retention.dedupKeys` says, for instance an id of another system. */
  readonly dedupKey?: string;
}

export const payloadBytesMax = 1024 * 1024;
const uuid7Pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
/** A surrogate without its other half, and NUL: PostgreSQL stores neither. */
const unstorable = /\u0000|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

/** The same half a character as an escape: `\ud800` that no `\udc00` follows, and the other way round. */
const escapedHalf =
  /\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}/i;
/** JSON.stringify and PostgreSQL both give up on what is nested some thousand levels deep. */
const depthMax = 1000;

/**
 * The payload's text.
 * @throws OutboxError OUTBOX_EVENT_INVALID naming the place inside the payload
 */
export function payloadTextOf(event: NewEvent): string {
  if ((event.payload === undefined) === (event.payloadText === undefined)) {
    throw invalid('payload', 'expected exactly one of payload and payloadText');
  }
  if (event.payloadText !== undefined) return checkedText(event.payloadText);
  assertJson(event.payload, 'payload', new Set());
  return checkedText(JSON.stringify(event.payload));
}

function checkedText(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    throw invalid('payload', `payloadText is not JSON: ${(error as Error).message}`);
  }
  // Without the escaped backslashes, so that what looks like an escape is one.
  const escapes = text.replace(/\\\\/g, '  ');
  if (/\\u0000/.test(escapes))
    throw invalid('payload', 'the character NUL (\\u0000) cannot be stored by PostgreSQL');
  if (unstorable.test(text) || escapedHalf.test(escapes))
    throw invalid('payload', 'a lone surrogate (half a character) cannot be stored');
  const bytes = Buffer.byteLength(text);
  if (bytes > payloadBytesMax) {
    throw invalid(
      'payload',
      `${bytes} bytes are more than the ${payloadBytesMax} a payload may have; store the document and send its address`,
    );
  }
  return text;
}

/** JSON.stringify drops or rewrites what it does not know, silently; an order without its amount is not an order. */
function assertJson(value: unknown, path: string, ancestors: Set<object>): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return;
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return;
    throw invalid(path, `${value} is not JSON`);
  }
  if (typeof value !== 'object') {
    const hint = typeof value === 'bigint' ? '; pass the payload as payloadText to keep every digit' : '';
    throw invalid(path, `a ${typeof value} is not JSON${hint}`);
  }
  if (ancestors.has(value)) throw invalid(path, 'the payload contains itself');
  if (ancestors.size >= depthMax) throw invalid('payload', `nested more than ${depthMax} levels deep`);
  ancestors.add(value);
  for (const [key, entry] of entriesOf(value, path)) assertJson(entry, key, ancestors);
  ancestors.delete(value);
}

function entriesOf(value: object, path: string): [string, unknown][] {
  if (Array.isArray(value)) return Array.from(value, (entry: unknown, index) => [`${path}[${index}]`, entry]);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw invalid(path, `a ${value.constructor?.name ?? 'object of a class'} is not JSON; convert it first`);
  }
  return Object.entries(value).map(([key, entry]) => [`${path}.${key}`, entry]);
}

/** @throws OutboxError OUTBOX_EVENT_INVALID */
export function assertEvent(event: NewEvent): void {
  if (typeof event !== 'object' || event === null)
    throw invalid('event', 'expected an object with type and payload');
  text('type', event.type, 255, true);
  text('key', event.key, 1024);
  text('source', event.source, 1024);
  text('subject', event.subject, 1024);
  text('contentType', event.contentType, 255);
  text('dedupKey', event.dedupKey, 1024);
  if (event.id !== undefined && !uuid7Pattern.test(event.id)) {
    throw invalid(
      'id',
      `expected a UUIDv7, got ${JSON.stringify(event.id)}; leave it out, or put an id of your own into dedupKey`,
    );
  }
  if (event.deliverAt !== undefined) deliverAt(event.deliverAt);
  if (event.headers !== undefined) headers(event.headers);
}

function text(field: string, value: unknown, bytesMax: number, required = false): void {
  if (value === undefined && !required) return;
  if (typeof value !== 'string')
    throw invalid(field, `expected a text, got ${value === null ? 'null' : typeof value}`);
  const bytes = Buffer.byteLength(value);
  if (bytes < 1 || bytes > bytesMax) throw invalid(field, `expected 1 to ${bytesMax} bytes, got ${bytes}`);
  if (unstorable.test(value)) throw invalid(field, 'NUL and lone surrogates cannot be stored by PostgreSQL');
}

function deliverAt(value: Date): void {
  const time = value instanceof Date ? value.getTime() : Number.NaN;
  if (!(time > 0 && time < Date.UTC(9999, 0, 1))) {
    throw invalid('deliverAt', 'expected a valid Date between 1970 and the year 9999');
  }
}

function headers(value: unknown): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('headers', 'expected an object of strings');
  }
  for (const [name, entry] of Object.entries(value)) {
    if (typeof entry !== 'string')
      throw invalid(`headers.${name}`, `expected a text, got ${entry === null ? 'null' : typeof entry}`);
    if (unstorable.test(entry) || unstorable.test(name))
      throw invalid(`headers.${name}`, 'NUL and lone surrogates cannot be stored');
  }
}

function invalid(where: string, what: string): OutboxError {
  return new OutboxError('OUTBOX_EVENT_INVALID', `${where}: ${what}`, { hint: 'Nothing was written.' });
}
