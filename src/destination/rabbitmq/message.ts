/** An event as an AMQP message: properties, headers and body. */
import type { Options } from 'amqplib';
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';
import { cloudEventAttributes, structuredBody, structuredContentType } from '../shared/cloudEvents.ts';
import { refused, requireSize } from '../shared/failures.ts';
import { messageHeaders } from '../shared/messageHeaders.ts';
import type { RabbitmqSettings } from './keys.ts';

export interface AmqpMessage {
  readonly body: Buffer;
  readonly options: Options.Publish;
}

/** The client before 2.3.1 cut longer ones in silence, and the frame of a message's properties has its limit too. */
const headerBytesMax = 64 * 1024;
/** A short string of the protocol. */
const shortBytesMax = 255;
const own: ReadonlySet<string> = new Set(['content-type', 'content-encoding']);

/** CloudEvents' binding for AMQP: attributes are headers named `cloudEvents:<name>`. */
const prefix = 'cloudEvents:';

export function amqpMessage(
  { cloudEvents }: Pick<RabbitmqSettings, 'cloudEvents'>,
  message: OutgoingMessage,
): AmqpMessage {
  const structured = cloudEvents === 'structured';
  const contentType = structured ? structuredContentType : message.contentType;
  requireShort(contentType, 'content type');
  const headers = messageHeaders(message, { own, cloudEvents: cloudEvents === 'binary' ? prefix : null });
  if (cloudEvents === 'binary')
    for (const [name, value] of cloudEventAttributes(message)) headers.push([prefix + name, value]);
  const bytes = headers.reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 6,
    0,
  );
  requireSize(bytes, headerBytesMax, 'a message’s headers');
  for (const [name] of headers) requireShort(name, 'header name');
  return {
    body: Buffer.from(structured ? structuredBody(message) : message.payload),
    options: {
      mandatory: true,
      deliveryMode: 2,
      contentType,
      messageId: messageId(message.eventId, message.revision),
      timestamp: Math.floor(Date.parse(message.createdAt) / 1000),
      ...(Buffer.byteLength(message.type) <= shortBytesMax ? { type: message.type } : {}),
      headers: Object.fromEntries(headers),
    },
  };
}

/** Refuses for good what no routing key, header name or property can hold. */
export function requireShort(text: string, what: string): string {
  if (Buffer.byteLength(text) > shortBytesMax)
    throw refused(
      'invalid-message',
      `its ${what} is longer than ${shortBytesMax} bytes, all that AMQP can carry`,
    );
  return text;
}
