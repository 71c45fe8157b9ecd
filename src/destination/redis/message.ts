/** An event as an entry of a stream: fields and values. */
import type { OutgoingMessage } from '../../core/outcome.ts';
import { cloudEventAttributes, structuredBody, structuredContentType } from '../shared/cloudEvents.ts';
import { requireSize } from '../shared/failures.ts';
import { messageHeaders } from '../shared/messageHeaders.ts';
import type { RedisSettings } from './keys.ts';

export interface StreamEntry {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

/** The field of the body. */
export const bodyField = 'payload';
const own: ReadonlySet<string> = new Set(['content-type', bodyField]);
const prefix = 'ce-';
/** `proto-max-bulk-len` of a server that was not told otherwise. */
const bytesMax = 512 * 1024 * 1024;

export function streamEntry(
  { cloudEvents }: Pick<RedisSettings, 'cloudEvents'>,
  message: OutgoingMessage,
): StreamEntry {
  const structured = cloudEvents === 'structured';
  const headers: [string, string][] = [
    ['content-type', structured ? structuredContentType : message.contentType],
    ...messageHeaders(message, { own, cloudEvents: cloudEvents === 'binary' ? prefix : null }),
  ];
  if (cloudEvents === 'binary')
    for (const [name, value] of cloudEventAttributes(message)) headers.push([prefix + name, value]);
  const body = Buffer.from(structured ? structuredBody(message) : message.payload);
  requireSize(body.length, bytesMax, 'Redis (proto-max-bulk-len)');
  return { headers, body };
}
