/** What the inbox is told about a message, checked before anything is asked of PostgreSQL. */
import { createHash } from 'node:crypto';
import { OutboxError } from '../errors.ts';

export interface MessageOptions {
  /** Who consumes: each consumer does each message once. 1 to 255 bytes. */
  readonly consumer: string;
  /**
   * The sender's id, 1 to 255 bytes; the same on every attempt. `<event id>:r2`, as the header `webhook-id` has it for an
   * edited event, means revision 2 of that event.
   */
  readonly messageId: string;
  /** Default: what `messageId` says, else 1. */
  readonly revision?: number;
  /** Same id and revision with another hash is refused. See {@link hashPayload}. Default: not compared. */
  readonly payloadHash?: string;
}

export interface Message {
  readonly consumer: string;
  readonly messageId: string;
  readonly revision: number;
  readonly payloadHash: string | null;
}

const editedId = /^([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}):r([1-9]\d{0,8})$/i;

/**
 * `01a2…` → revision 1 of it, `01a2…:r3` → revision 3. Only a UUIDv7, which is what our sender makes, is read so:
 * in ids of others `:r3` may mean anything.
 */
export function parseMessageId(id: string): { readonly messageId: string; readonly revision: number } {
  const [, messageId = id, revision = '1'] = editedId.exec(id) ?? [];
  return { messageId, revision: Number(revision) };
}

/** SHA-256 of the body as it arrived, in base64url: 43 characters. */
export function hashPayload(body: string | Uint8Array): string {
  return createHash('sha256').update(body).digest('base64url');
}

/** @throws OutboxError OUTBOX_INBOX_INVALID */
export function checkedMessage(options: MessageOptions): Message {
  const consumer = checkedText('consumer', options.consumer);
  const parsed = parseMessageId(checkedText('messageId', options.messageId));
  const { revision = parsed.revision, payloadHash } = options;
  if (!Number.isInteger(revision) || revision < 1 || revision > 2 ** 31 - 1)
    throw invalid('revision', 'a whole number from 1', revision);
  return {
    consumer,
    messageId: parsed.messageId,
    revision,
    payloadHash: payloadHash === undefined ? null : checkedText('payloadHash', payloadHash),
  };
}

export function checkedText(name: string, text: unknown): string {
  if (typeof text === 'string' && /^[^\p{Cc}\p{Cs}]+$/u.test(text) && Buffer.byteLength(text) <= 255)
    return text;
  throw invalid(name, 'a text of 1 to 255 bytes without control characters', text);
}

export function invalid(name: string, expected: string, found: unknown): OutboxError {
  const shown = typeof found === 'string' ? JSON.stringify(found.slice(0, 40)) : String(found);
  return new OutboxError('OUTBOX_INBOX_INVALID', `${name}: expected ${expected}, got ${shown}`);
}
