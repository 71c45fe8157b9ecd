/** An event as an entry of SendMessageBatch. */
import type { MessageAttributeValue, SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs';
import { createHash } from 'node:crypto';
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';
import { structuredBody, structuredContentType } from '../shared/cloudEvents.ts';
import { filled, refused, requireSize } from '../shared/failures.ts';
import { messageHeaders } from '../shared/messageHeaders.ts';
import { Template } from '../shared/template.ts';
import type { SqsSettings } from './keys.ts';
import { otherHeaders, transferEncoding } from './names.ts';

export interface SqsMessage {
  readonly entry: Omit<SendMessageBatchRequestEntry, 'Id'>;
  /** As SQS counts them: the body, and names, types and values of attributes. */
  readonly bytes: number;
}

/** Of one message, and of a whole batch. */
export const bytesMax = 1024 * 1024;
const attributesMax = 10;
const attributeName = /^(?!aws\.|amazon\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)$/i;
const outsideXml = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;

export function sqsMessage(
  { cloudEvents, group }: Pick<SqsSettings, 'cloudEvents' | 'group'>,
  isFifo: boolean,
  message: OutgoingMessage,
): SqsMessage {
  const structured = cloudEvents === 'structured';
  const asText = structured ? structuredBody(message) : message.payload;
  // A body of SQS is a text.
  const body = typeof asText === 'string' ? asText : Buffer.from(asText).toString('base64');
  if (body === '') throw refused('invalid-message', 'its payload is empty, which SQS does not take');
  const at = body.search(outsideXml);
  if (at !== -1)
    throw refused(
      'invalid-message',
      `its payload has a character at ${at + 1} that SQS cannot carry (U+${body.codePointAt(at)!.toString(16).toUpperCase().padStart(4, '0')})`,
    );
  const contentType = structured ? structuredContentType : message.contentType;
  const attributes = attributesOf([
    ['content-type', contentType],
    ...(typeof asText === 'string' ? [] : [[transferEncoding, 'base64'] as [string, string]]),
    ...messageHeaders(message, { own: new Set(['content-type', transferEncoding]), cloudEvents: null }),
  ]);
  const bytes = sizeOf(body, attributes);
  requireSize(bytes, bytesMax, 'SQS, headers and all,');
  return {
    bytes,
    entry: {
      MessageBody: body,
      MessageAttributes: attributes,
      ...groupOf(group, isFifo, message),
      ...(isFifo ? { MessageDeduplicationId: messageId(message.eventId, message.revision) } : {}),
    },
  };
}

/** Ten at most: ours first, then the event's own; those that find no place, or that SQS cannot carry, are JSON in one. */
function attributesOf(headers: readonly [string, string][]): Record<string, MessageAttributeValue> {
  const fits = ([name, value]: [string, string]): boolean =>
    attributeName.test(name) && value !== '' && !outsideXml.test(value);
  const unfit = headers.filter((header) => !fits(header));
  const fit = headers.filter(fits);
  const places = unfit.length === 0 && fit.length <= attributesMax ? attributesMax : attributesMax - 1;
  const others = [...fit.slice(places), ...unfit];
  const taken = fit.slice(0, places);
  if (others.length > 0) taken.push([otherHeaders, asciiJson(Object.fromEntries(others))]);
  return Object.fromEntries(taken.map(([name, value]) => [name, { DataType: 'String', StringValue: value }]));
}

/** JSON in which every character beyond ASCII is escaped: whatever was in a header, SQS carries it. */
function asciiJson(value: object): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function sizeOf(body: string, attributes: Record<string, MessageAttributeValue>): number {
  return Object.entries(attributes).reduce(
    (sum, [name, { DataType = '', StringValue = '' }]) =>
      sum + Buffer.byteLength(name) + DataType.length + Buffer.byteLength(StringValue),
    Buffer.byteLength(body),
  );
}

/** A FIFO queue wants one for each message. */
function groupOf(
  written: string | null,
  isFifo: boolean,
  message: OutgoingMessage,
): { readonly MessageGroupId?: string } {
  if (written !== null)
    return { MessageGroupId: groupId(filled(new Template(written).fill(message), 'group')) };
  if (!isFifo) return {};
  return { MessageGroupId: groupId(message.key ?? messageId(message.eventId, message.revision)) };
}

const groupCharacters = 128;

/**
 * Of letters, digits and punctuation, 128 at most: other characters are percent-encoded as UTF-8, and what is too long then is its
 * hash. One text gives one group, which is all that order needs; consumers find the key itself in `outbox-key`.
 */
export function groupId(text: string): string {
  const encoded = text.replace(/[^\u0021-\u0024\u0026-\u007e]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
  if (encoded === '') throw refused('invalid-message', 'its group is empty');
  return encoded.length <= groupCharacters
    ? encoded
    : `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
