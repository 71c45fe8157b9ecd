/** Which message it is, whose order it keeps, and of what type: from our headers, CloudEvents', or the broker's own. */
import { isJsonType } from '../core/mediaType.ts';
import { checkedMessage, hashPayload, type Message } from '../inbox/message.ts';
import { errorLine } from './failures.ts';
import { storable } from './storable.ts';
import type { Delivery, Incoming } from './type.ts';

export interface Known {
  /** With its revision, as it came. */
  readonly id: string;
  readonly key: string | null;
  readonly type: string | null;
  readonly message: Message;
}

/** A message that cannot be told from others, and why. */
export interface Unknown {
  readonly id: null;
  readonly key: string | null;
  readonly type: string | null;
  readonly reason: 'no-id' | 'invalid-id';
  readonly text: string;
}

type Naming = (message: Incoming) => string | null | undefined;

export function identify(
  delivery: Delivery,
  consumer: string,
  { id: naming, key: keying }: { readonly id?: Naming | undefined; readonly key?: Naming | undefined },
): Known | Unknown {
  const type = delivery.headers['outbox-event-type'] ?? attributeOf(delivery, 'type');
  let key: string | null = null;
  try {
    key = storable((keying ?? keyOf)(delivery) ?? '') || null;
    const isKept = delivery.kept !== undefined;
    const id = (isKept ? delivery.brokerId : (naming ?? idOf)(delivery)) ?? '';
    if (id === '') return { id: null, key, type, reason: 'no-id', text: nothingTellsIt };
    // A person may have edited a kept one.
    const payloadHash = isKept ? {} : { payloadHash: hashPayload(delivery.body) };
    return { id, key, type, message: checkedMessage({ consumer, messageId: id, ...payloadHash }) };
  } catch (error) {
    return { id: null, key, type, reason: 'invalid-id', text: errorLine(error) };
  }
}

const nothingTellsIt =
  'nothing tells this message from others: no webhook-id, no id of CloudEvents, none of the broker; give createConsumer a function `id`';

/** How brokers write CloudEvents' attributes: HTTP and NATS, Kafka, AMQP. */
const prefixes = ['ce-', 'ce_', 'cloudevents:', 'cloudevents_'];
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(:r[1-9]\d*)?$/i;

/** Null where nothing tells it from others. */
export function idOf(message: Incoming): string | null {
  const own = message.headers['webhook-id'];
  if (own !== undefined) return own;
  const id = attributeOf(message, 'id');
  // CloudEvents are told apart by source and id together; a UUID needs no more.
  if (id !== null) return uuid.test(id) ? id : `${attributeOf(message, 'source') ?? ''} ${id}`;
  return message.brokerId;
}

export function keyOf(message: Incoming): string | null {
  return message.headers['outbox-key'] ?? attributeOf(message, 'partitionkey') ?? message.key;
}

/** An attribute of CloudEvents, binary or structured; null where there is none. */
export function attributeOf(message: Incoming, name: string): string | null {
  for (const prefix of prefixes) {
    const value = message.headers[prefix + name];
    if (value !== undefined) return value;
  }
  const envelope = envelopeOf(message);
  const value = envelope?.[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

function envelopeOf({ contentType, body }: Incoming): Readonly<Record<string, unknown>> | null {
  if (
    contentType === null ||
    !/^application\/cloudevents\+json/i.test(contentType) ||
    !isJsonType(contentType)
  )
    return null;
  try {
    const parsed = JSON.parse(Buffer.from(body).toString('utf8')) as unknown;
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
