/** CloudEvents 1.0.2 over HTTP, both content modes. */
import type { OutgoingMessage } from '../../core/outcome.ts';

/** `ce-source` of events that name none. */
export const defaultSource = '/temporal-outbox';

export const structuredContentType = 'application/cloudevents+json; charset=utf-8';

const needsEncoding = /[^\u0021-\u007e]|["%]/;
const encodable = /[^\u0021-\u007e]|["%]/gu;

/**
 * A value as the HTTP binding wants it in a header (section 3.1.3.2): space, `"`, `%` and everything outside
 * U+0021–7E percent-encoded as UTF-8.
 */
export function percentEncode(value: string): string {
  if (!needsEncoding.test(value)) return value;
  return value.replace(encodable, (character) => {
    let encoded = '';
    for (const byte of Buffer.from(character))
      encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    return encoded;
  });
}

/** Appends the attributes of binary mode to the headers; the content type is the data's own. */
export function pushBinaryAttributes(headers: string[], message: OutgoingMessage, id: string): void {
  headers.push('ce-specversion', '1.0', 'ce-id', percentEncode(id));
  headers.push(
    'ce-source',
    percentEncode(message.source || defaultSource),
    'ce-type',
    percentEncode(message.type),
  );
  headers.push('ce-time', percentEncode(message.createdAt));
  if (message.subject) headers.push('ce-subject', percentEncode(message.subject));
  if (message.key) headers.push('ce-partitionkey', percentEncode(message.key));
}

/**
 * The envelope of structured mode. The payload's text is put in as it is: parsing it would round integers beyond
 * 2^53. Data whose content type is not JSON becomes a JSON string, as the JSON format asks (section 3.1).
 */
export function structuredBody(message: OutgoingMessage, id: string): string {
  const attributes = JSON.stringify({
    specversion: '1.0',
    id,
    source: message.source || defaultSource,
    type: message.type,
    time: message.createdAt,
    ...(message.subject ? { subject: message.subject } : {}),
    ...(message.key ? { partitionkey: message.key } : {}),
    datacontenttype: message.contentType,
  });
  const data = isJson(message.contentType) ? message.payload : JSON.stringify(message.payload);
  return `${attributes.slice(0, -1)},"data":${data}}`;
}

function isJson(contentType: string): boolean {
  return /^[^/;\s]+\/(?:[^;\s]+\+)?json\s*(?:;|$)/i.test(contentType);
}
