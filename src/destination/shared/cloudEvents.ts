/** CloudEvents 1.0.2: an event's attributes, and the JSON of structured mode. How attributes travel is each protocol's own binding. */
import { isJsonType } from '../../core/mediaType.ts';
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';

/** `source` of events that name none. */
export const defaultSource = '/temporal-outbox';

export const structuredContentType = 'application/cloudevents+json; charset=utf-8';

export type CloudEventsMode = 'none' | 'binary' | 'structured';

/**
 * The context attributes, those that the event has: name without a prefix, and value as it is. `datacontenttype` is left out: in
 * binary mode it is the protocol's own content type.
 */
export function cloudEventAttributes(message: OutgoingMessage): [name: string, value: string][] {
  const attributes: [string, string][] = [
    ['specversion', '1.0'],
    ['id', messageId(message.eventId, message.revision)],
    ['source', message.source || defaultSource],
    ['type', message.type],
    ['time', message.createdAt],
  ];
  if (message.subject) attributes.push(['subject', message.subject]);
  if (message.key) attributes.push(['partitionkey', message.key]);
  return attributes;
}

/**
 * The envelope of structured mode. The payload's text is put in as it is: parsing it would round integers beyond
 * 2^53. Data whose content type is not JSON becomes a JSON string, as the JSON format asks (section 3.1), and bytes `data_base64`.
 */
export function structuredBody(message: OutgoingMessage): string {
  const attributes = JSON.stringify({
    ...Object.fromEntries(cloudEventAttributes(message)),
    datacontenttype: message.contentType,
  });
  return `${attributes.slice(0, -1)},${dataMember(message)}}`;
}

function dataMember({ payload, contentType }: OutgoingMessage): string {
  if (typeof payload !== 'string') {
    const { buffer, byteOffset, byteLength } = payload;
    return `"data_base64":"${Buffer.from(buffer, byteOffset, byteLength).toString('base64')}"`;
  }
  return `"data":${isJsonType(contentType) ? payload : JSON.stringify(payload)}`;
}
