/** An event as the one argument of a workflow, signal, update or activity. */
import type { Payload } from '@temporalio/common';
import { isJsonType } from '../../core/mediaType.ts';
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';
import { requireSize } from '../shared/failures.ts';
import { messageHeaders } from '../shared/messageHeaders.ts';
import type { TemporalSettings } from './keys.ts';

/** The server's limit of one blob by default (`limit.blobSize.error`). */
const bytesMax = 2 * 1024 * 1024;

export interface Argument {
  readonly payload: Payload;
  /** What consumers know from elsewhere as headers: in the workflow's memo. */
  readonly headers: Readonly<Record<string, string>>;
}

export function argumentOf({ input }: Pick<TemporalSettings, 'input'>, message: OutgoingMessage): Argument {
  const headers = Object.fromEntries([
    ['content-type', message.contentType],
    ...messageHeaders(message, { own: new Set(['content-type']), cloudEvents: null }),
  ]) as Record<string, string>;
  const given = input === 'payload' ? dataOf(message) : eventOf(message);
  const data = Buffer.from(given);
  requireSize(
    data.length + Buffer.byteLength(JSON.stringify(headers)),
    bytesMax,
    'Temporal, headers and all,',
  );
  const encoding = Buffer.from(typeof given === 'string' ? 'json/plain' : 'binary/plain');
  return { payload: { metadata: { encoding }, data }, headers };
}

/** The payload's text as it is: parsing it would round integers beyond 2^53. What is not JSON becomes a JSON string; bytes stay bytes. */
function dataOf({ payload, contentType }: OutgoingMessage): string | Uint8Array {
  if (typeof payload !== 'string') return payload;
  return isJsonType(contentType) && payload !== '' ? payload : JSON.stringify(payload);
}

function eventOf(message: OutgoingMessage): string {
  const { eventId, revision, type, key, source, subject, contentType, headers, createdAt } = message;
  const id = messageId(eventId, revision);
  const about = { id, type, key, source, subject, contentType, time: createdAt, headers };
  const data = dataOf(message);
  const member =
    typeof data === 'string' ? `"data":${data}` : `"dataBase64":"${Buffer.from(data).toString('base64')}"`;
  return `${JSON.stringify(about).slice(0, -1)},${member}}`;
}
