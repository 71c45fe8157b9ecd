/** What a message to a broker is made of: content type, headers, body, by the way its destination wants CloudEvents. */
import type { OutgoingMessage } from '../../core/outcome.ts';
import {
  cloudEventAttributes,
  structuredBody,
  structuredContentType,
  type CloudEventsMode,
} from './cloudEvents.ts';
import { messageHeaders } from './messageHeaders.ts';

/** A protocol's binding of CloudEvents. */
export interface Binding {
  /** What the names of attributes begin with in binary mode: `ce_`, `ce-`, `cloudEvents:`. */
  readonly prefix: string;
  /** Names, in lower case, that the type sets itself; an event's own headers do not replace them. */
  readonly own: ReadonlySet<string>;
  /** Whether consumers look for an attribute `datacontenttype` beside the protocol's own content type. */
  readonly datacontenttype?: boolean;
}

export interface BrokerMessage {
  readonly contentType: string;
  /** Without the content type. */
  readonly headers: readonly [name: string, value: string][];
  readonly body: Buffer;
}

export function brokerMessage(
  message: OutgoingMessage,
  cloudEvents: CloudEventsMode,
  { prefix, own, datacontenttype = false }: Binding,
): BrokerMessage {
  if (cloudEvents === 'structured')
    return {
      contentType: structuredContentType,
      headers: messageHeaders(message, { own, cloudEvents: null }),
      body: Buffer.from(structuredBody(message)),
    };
  const { contentType } = message;
  const body = Buffer.from(message.payload);
  if (cloudEvents === 'none')
    return { contentType, headers: messageHeaders(message, { own, cloudEvents: null }), body };
  const attributes = cloudEventAttributes(message);
  if (datacontenttype) attributes.push(['datacontenttype', contentType]);
  const named = attributes.map(([name, value]): [string, string] => [prefix + name, value]);
  return { contentType, headers: [...messageHeaders(message, { own, cloudEvents: prefix }), ...named], body };
}
