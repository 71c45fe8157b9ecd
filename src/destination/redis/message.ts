/** An event as an entry of a stream: fields and values. */
import type { OutgoingMessage } from '../../core/outcome.ts';
import { brokerMessage, type Binding } from '../shared/brokerMessage.ts';
import { requireSize } from '../shared/failures.ts';
import { bodyField } from './bodyField.ts';
import type { RedisSettings } from './keys.ts';

export interface StreamEntry {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

const binding: Binding = { prefix: 'ce-', own: new Set(['content-type', bodyField]) };
/** `proto-max-bulk-len` of a server that was not told otherwise. */
const bytesMax = 512 * 1024 * 1024;

export function streamEntry(
  { cloudEvents }: Pick<RedisSettings, 'cloudEvents'>,
  message: OutgoingMessage,
): StreamEntry {
  const { contentType, headers, body } = brokerMessage(message, cloudEvents, binding);
  requireSize(body.length, bytesMax, 'Redis (proto-max-bulk-len)');
  return { headers: [['content-type', contentType], ...headers], body };
}
