/** An event as a NATS message: headers and body. */
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';
import { brokerMessage, type Binding } from '../shared/brokerMessage.ts';
import { refused } from '../shared/failures.ts';
import type { NatsSettings } from './keys.ts';

export interface NatsMessage {
  readonly id: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

const binding: Binding = { prefix: 'ce-', own: new Set(['content-type']), datacontenttype: true };

/** `Nats-Rollup` would purge a stream, `Nats-Expected-…` and `Nats-TTL` are the server's too: no event may set them. */
const ofTheServer = /^nats-/i;

export function natsMessage(
  { cloudEvents }: Pick<NatsSettings, 'cloudEvents'>,
  message: OutgoingMessage,
): NatsMessage {
  const { contentType, headers: others, body } = brokerMessage(message, cloudEvents, binding);
  const headers = [
    ['content-type', contentType] as const,
    ...others.filter(([name]) => !ofTheServer.test(name)),
  ];
  for (const [name, value] of headers) requireCarried(name, value);
  return {
    id: messageId(message.eventId, message.revision),
    headers,
    body,
  };
}

function requireCarried(name: string, value: string): void {
  if (!/^[\u0021-\u0039\u003b-\u007e]+$/.test(name))
    throw refused(
      'invalid-message',
      `a header name of NATS is printable ASCII without spaces and colons; found ${JSON.stringify(name)}`,
    );
  if (/[\r\n\u0000]/.test(value))
    throw refused(
      'invalid-message',
      `the value of its header ${name} has a line break, which NATS cannot carry`,
    );
}
