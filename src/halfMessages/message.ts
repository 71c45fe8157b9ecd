import { randomFillSync } from 'node:crypto';
import type { MessageStateName } from '../core/messageState.ts';
import { OutboxError } from '../errors.ts';
import {
  assertEvent,
  checkedPayload,
  type CheckedPayload,
  type EventFields,
  type EventPayload,
} from '../produce/event.ts';
import { isUuid } from '../core/uuid.ts';

/** What a producer prepares: an event that counts once the producer says so. Its id is the message's. */
export type HalfMessage = HalfMessageFields & EventPayload;

interface HalfMessageFields extends Omit<EventFields, 'dedupKey'> {
  /** A name under `producers:` in outbox.yaml: who is asked where nothing more is heard. */
  readonly producer: string;
}

/** Ready to be sent, by SQL or HTTP. */
export type CheckedMessage = HalfMessageFields & CheckedPayload & { readonly id: string };

export interface PreparedMessage {
  /** Of the message, and of the event it becomes. */
  readonly id: string;
  /** `prepared`, unless this repeats a message that went on. */
  readonly state: MessageStateName;
  /** False when the same id and content was there before: nothing was written again. */
  readonly inserted: boolean;
}

export interface SettledMessage {
  readonly id: string;
  readonly state: 'committed' | 'rolled-back';
  /** The event it became; null when rolled back. The message's id, or a new one where that is older than a day. */
  readonly eventId: string | null;
  /** False when it was settled so before. */
  readonly changed: boolean;
}

/**
 * Fills in the id, so that a repeat after a lost answer names the same message.
 * @throws OutboxError OUTBOX_EVENT_INVALID when the message cannot be stored as it is
 */
export function checkMessage(message: HalfMessage): CheckedMessage {
  assertEvent(message);
  const { producer } = message;
  if (typeof producer !== 'string' || !/^[a-z][a-z0-9-]{0,62}$/.test(producer)) {
    throw invalid(
      'producer: expected a name of 1 to 63 of a-z, 0-9 and -, as under producers: in outbox.yaml',
    );
  }
  if ('dedupKey' in message && message.dedupKey !== undefined)
    throw invalid('dedupKey: a half message has none; its id names it');
  const { payload: _payload, payloadText: _text, payloadBytes: _bytes, ...rest } = message;
  return { ...rest, id: message.id?.toLowerCase() ?? uuid7(), ...checkedPayload(message) };
}

function invalid(message: string): OutboxError {
  return new OutboxError('OUTBOX_EVENT_INVALID', message, { hint: 'Nothing was written.' });
}

/** RFC 9562: 48 bits of unix milliseconds, version, 74 random bits. */
export function uuid7(nowMs: number = Date.now()): string {
  const bytes = randomFillSync(Buffer.alloc(16));
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** @throws OutboxError OUTBOX_EVENT_INVALID */
export function assertMessageId(id: unknown): asserts id is string {
  if (typeof id !== 'string' || !isUuid(id)) throw invalid('id: expected the id of a half message (a UUID)');
}
