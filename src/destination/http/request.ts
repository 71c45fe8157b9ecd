/** One message as an HTTP request: the headers and the body of one attempt. */
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';
import { structuredBody, structuredContentType } from '../shared/cloudEvents.ts';
import { percentEncode, pushBinaryAttributes } from './cloudEvents.ts';
import { isHeaderValue, pushEventHeaders, pushTraceContext } from '../shared/eventHeaders.ts';
import { signatures } from './signature.ts';
import type { HttpTarget } from './target.ts';

export interface HttpRequest {
  readonly path: string;
  readonly method: 'POST' | 'PUT' | 'PATCH';
  /** Name, value, name, value. */
  readonly headers: string[];
  readonly body: string | Uint8Array;
}

/** The request, or in words why no request can carry this message. `timestamp` is in unix seconds, as text. */
export function buildRequest(
  target: HttpTarget,
  message: OutgoingMessage,
  timestamp: string,
): HttpRequest | string {
  const { config } = target;
  const id = messageId(message.eventId, message.revision);
  const structured = config.cloudEvents === 'structured';
  if (!isHeaderValue(message.contentType)) {
    return "the event's content type holds a character no header can carry";
  }
  const body = structured ? structuredBody(message) : message.payload;
  const headers = target.headers.slice();
  if (structured) headers.push('content-type', structuredContentType);
  else if (!target.headerNames.has('content-type')) headers.push('content-type', message.contentType);
  headers.push('webhook-id', id, 'webhook-timestamp', timestamp);
  if (target.signingKeys.length > 0) {
    headers.push('webhook-signature', signatures(target.signingKeys, id, timestamp, body));
  }
  if (target.tokens !== null) headers.push('authorization', target.tokens.authorization);
  pushOwnHeaders(headers, target, message, id);
  if (config.cloudEvents === 'binary') pushBinaryAttributes(headers, message);
  const rules = { destinationNames: target.headerNames, cloudEvents: config.cloudEvents !== 'none' };
  const problem = pushEventHeaders(headers, message.headers, rules);
  return problem ?? { path: target.requestTarget, method: config.method, headers, body };
}

function pushOwnHeaders(headers: string[], target: HttpTarget, message: OutgoingMessage, id: string): void {
  const key = `${message.destination}/${id}`;
  headers.push('idempotency-key', target.config.idempotencyKey.quoted ? `"${key}"` : key);
  headers.push('outbox-attempt', `${message.attempt}`, 'outbox-event-type', percentEncode(message.type));
  if (message.sequence !== null) headers.push('outbox-sequence', message.sequence);
  if (message.revision > 1) headers.push('outbox-replaces', messageId(message.eventId, message.revision - 1));
  pushTraceContext(headers, message.headers);
}
