/** Bodies of the HTTP API → what enqueue and prepareMessage take. */
import { base64Bytes } from '../core/base64.ts';
import { memberText } from '../core/jsonMember.ts';
import type { HalfMessage } from '../halfMessages/message.ts';
import type { NewEvent } from '../produce/event.ts';
import { RequestRefused } from './problem.ts';

export const eventFields = [
  ...['type', 'payload', 'payloadBase64', 'key', 'headers', 'deliverAt', 'id', 'source', 'subject'],
  ...['contentType', 'dedupKey'],
] as const;
export const messageFields = ['producer', ...eventFields.filter((field) => field !== 'dedupKey')] as const;

/** What a body may have: a payload of 1 MiB, room for spaces and for the other fields. */
export const bodyBytesMax = 2 * 1024 * 1024;

/** @throws RequestRefused for what is no JSON object of these fields; what is in them is checked by enqueue itself */
export function readEvent(body: unknown): NewEvent {
  return read(body, eventFields) as unknown as NewEvent;
}

export function readMessageBody(body: unknown): HalfMessage {
  return read(body, messageFields) as unknown as HalfMessage;
}

function read(body: unknown, fields: readonly string[]): Record<string, unknown> {
  const text = decodeBody(body);
  const { payload, payloadBase64, deliverAt, ...rest } = parseObject(text, fields);
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  return {
    ...given,
    // Beside bytes a null is a field that was left out.
    ...(payload == null && payloadBase64 != null
      ? { payloadBytes: bytesOf(payloadBase64) }
      : payloadOf(text, payloadBase64)),
    ...(deliverAt == null ? {} : { deliverAt: momentOf(deliverAt) }),
  };
}

function payloadOf(text: string, payloadBase64: unknown): { payloadText: string } {
  const payloadText = memberText(text, 'payload');
  if (payloadText === undefined)
    throw new RequestRefused(
      400,
      'payload: it is missing; any JSON value will do, or bytes as payloadBase64',
    );
  if (payloadBase64 != null)
    throw new RequestRefused(400, 'expected exactly one of payload and payloadBase64');
  return { payloadText };
}

function bytesOf(base64: unknown): Uint8Array {
  const bytes = typeof base64 === 'string' ? base64Bytes(base64) : undefined;
  if (bytes === undefined) throw new RequestRefused(400, 'payloadBase64: expected bytes in base64');
  return bytes;
}

/** @throws RequestRefused 400 for what is no text */
export function decodeBody(body: unknown): string {
  if (!Buffer.isBuffer(body) || body.length === 0)
    throw new RequestRefused(400, 'expected a JSON object as body, Content-Type application/json');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new RequestRefused(400, 'expected UTF-8');
  }
}

/** `fields`: those it may have; undefined: any. @throws RequestRefused 400 */
export function parseObject(text: string, fields?: readonly string[]): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new RequestRefused(400, `not JSON: ${(error as Error).message.split('\n')[0]?.slice(0, 200)}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new RequestRefused(400, 'expected a JSON object');
  const unknown = Object.keys(parsed).find((field) => fields?.includes(field) === false);
  if (unknown !== undefined && fields !== undefined)
    throw new RequestRefused(
      400,
      `unknown field ${JSON.stringify(unknown.slice(0, 60))}; there are ${fields.join(', ')}`,
    );
  return parsed as Record<string, unknown>;
}

/** What is no moment becomes an invalid date, which is refused with the other fields. */
function momentOf(value: unknown): Date {
  const isIso =
    typeof value === 'string' &&
    /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$/.test(value);
  return new Date(isIso ? value : Number.NaN);
}
