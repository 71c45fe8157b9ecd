/** An event as an AMQP message: properties, headers and body. */
import type { Options } from 'amqplib';
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';
import { brokerMessage, type Binding } from '../shared/brokerMessage.ts';
import { refused, requireSize } from '../shared/failures.ts';
import type { RabbitmqSettings } from './keys.ts';

export interface AmqpMessage {
  readonly body: Buffer;
  readonly options: Options.Publish;
}

/** The client before 2.3.1 cut longer ones in silence, and the frame of a message's properties has its limit too. */
const headerBytesMax = 64 * 1024;
/** A short string of the protocol. */
const shortBytesMax = 255;

/** CloudEvents' binding for AMQP: attributes are headers named `cloudEvents:<name>`. */
const binding: Binding = { prefix: 'cloudEvents:', own: new Set(['content-type', 'content-encoding']) };

export function amqpMessage(
  { cloudEvents }: Pick<RabbitmqSettings, 'cloudEvents'>,
  message: OutgoingMessage,
): AmqpMessage {
  const { contentType, headers, body } = brokerMessage(message, cloudEvents, binding);
  requireShort(contentType, 'content type');
  const bytes = headers.reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 6,
    0,
  );
  requireSize(bytes, headerBytesMax, 'a message’s headers');
  for (const [name] of headers) requireShort(name, 'header name');
  return {
    body,
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
