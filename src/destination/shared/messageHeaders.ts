/** The headers of a message to a broker: the same names as over HTTP, so that consumers know one set. */
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';
import { traceContext } from '../../core/traceContext.ts';
import { isReservedName } from './eventHeaders.ts';

export interface MessageHeaderRules {
  /** Names, in lower case, that the type sets itself in another way, `content-type` and the like; an event's own do not replace them. */
  readonly own?: ReadonlySet<string>;
  /** Where CloudEvents' attributes are headers, what their names begin with: `ce_`, `ce-`, `cloudEvents:`; null where they are none. */
  readonly cloudEvents: string | null;
}

/**
 * `webhook-id` (our id, the same in every attempt), `outbox-event-type`, `outbox-attempt`, `outbox-key` where there is a key,
 * `outbox-sequence` where order is kept, `outbox-replaces` for an edited event, the trace context, then the event's own without
 * reserved names. Values are text as it is: what the protocol cannot carry is for the type to refuse.
 */
export function messageHeaders(
  message: OutgoingMessage,
  { own, cloudEvents }: MessageHeaderRules,
): [string, string][] {
  const id = messageId(message.eventId, message.revision);
  const headers: [string, string][] = [
    ['webhook-id', id],
    ['outbox-event-type', message.type],
    ['outbox-attempt', String(message.attempt)],
  ];
  if (message.key !== null) headers.push(['outbox-key', message.key]);
  if (message.sequence !== null) headers.push(['outbox-sequence', message.sequence]);
  if (message.revision > 1)
    headers.push(['outbox-replaces', messageId(message.eventId, message.revision - 1)]);
  headers.push(...traceContext(message.headers));
  const reserved = cloudEvents?.toLowerCase();
  for (const [name, value] of Object.entries(message.headers)) {
    const lower = name.toLowerCase();
    if (isReservedName(lower) || own?.has(lower) === true) continue;
    if (reserved !== undefined && lower.startsWith(reserved)) continue;
    headers.push([name, value]);
  }
  return headers;
}
