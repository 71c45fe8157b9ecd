import { invalidEvent as invalid, stringifyPayload, type JsonPayload } from './payload.ts';

/** What a producer hands to `enqueue`: the fields of an event, and its payload as a value, as text or as bytes. */
export type NewEvent = EventFields & EventPayload;

/** Exactly one of the three; at most 1 MiB, of JSON as PostgreSQL prints it. */
export type EventPayload =
  /** A value, made into JSON by the rules of JSON.stringify; see {@link JsonPayload}. */
  | { readonly payload: JsonPayload; readonly payloadText?: undefined; readonly payloadBytes?: undefined }
  /** JSON text, stored digit for digit: for numbers that JavaScript cannot hold. */
  | { readonly payloadText: string; readonly payload?: undefined; readonly payloadBytes?: undefined }
  /** Bytes, stored and sent as they are. Their content type says what they are, and is not `application/json`. */
  | {
      readonly payloadBytes: Uint8Array;
      readonly contentType: string;
      readonly payload?: undefined;
      readonly payloadText?: undefined;
    };

/** A payload that was looked at: JSON as text, or bytes in base64. */
export type CheckedPayload =
  | { readonly payloadText: string; readonly payloadBase64?: undefined }
  | { readonly payloadBase64: string; readonly payloadText?: undefined };

export interface EventFields {
  /** Dotted by convention, `order.created`; 1 to 255 bytes. Routes match on it. */
  readonly type: string;
  /** Groups events that belong to one thing (an order's id); 1 to 1024 bytes. */
  readonly key?: string;
  /** Sent with every delivery; names and values are strings. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Not delivered before this moment. */
  readonly deliverAt?: Date;
  /** Your own UUIDv7, for a commit whose outcome you could not learn: the same id and content again changes nothing. */
  readonly id?: string;
  /** Which system it comes from, for instance a URI; 1 to 1024 bytes. CloudEvents send it as `ce-source`. */
  readonly source?: string;
  /** What it is about within that system; 1 to 1024 bytes. CloudEvents send it as `ce-subject`. */
  readonly subject?: string;
  /** Default `application/json`; required with `payloadBytes`. Under one that is not JSON a payload that is a string arrives without quotes. */
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

/** @throws OutboxError OUTBOX_EVENT_INVALID naming the place inside the payload */
export function checkedPayload({
  payload,
  payloadText,
  payloadBytes,
  contentType,
}: EventPayload & { readonly contentType?: string }): CheckedPayload {
  const given = [payload, payloadText, payloadBytes].filter((each) => each !== undefined);
  if (given.length !== 1)
    throw invalid('payload', 'expected exactly one of payload, payloadText and payloadBytes');
  if (payloadBytes !== undefined) return { payloadBase64: base64Of(payloadBytes, contentType) };
  return { payloadText: checkedText(payloadText ?? stringifyPayload(payload)) };
}

function base64Of(bytes: Uint8Array, contentType: string | undefined): string {
  // By its tag: one of another realm, as in Jest, is no instance of this one's class.
  if (Object.prototype.toString.call(bytes) !== '[object Uint8Array]')
    throw invalid('payloadBytes', 'expected a Uint8Array');
  if (contentType === undefined || contentType.toLowerCase() === 'application/json')
    throw invalid(
      'contentType',
      'payloadBytes need one that says what they are, such as application/avro; JSON goes into payload',
    );
  if (bytes.byteLength > payloadBytesMax) throw tooLarge('payloadBytes', bytes.byteLength);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function tooLarge(field: string, bytes: number) {
  return invalid(
    field,
    `${bytes} bytes are more than the ${payloadBytesMax} a payload may have; store the document and send its address`,
  );
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
  if (bytes > payloadBytesMax) throw tooLarge('payload', bytes);
  return text;
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
