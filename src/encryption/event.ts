/** An event with its payload encrypted, ready to be enqueued or prepared. */
import { assertEvent, checkedPayload, payloadBytesMax, type NewEvent } from '../produce/event.ts';
import { invalidEvent } from '../produce/payload.ts';
import { sealPayload } from './cipher.ts';
import { encryptedType } from './envelope.ts';
import type { KeyProvider } from './keys.ts';

/**
 * For `prepareMessage`, `withMessage` and publishers; `enqueue` has an option. Type, key, headers and the like stay as they are: they are
 * not encrypted.
 *
 * @throws OutboxError OUTBOX_EVENT_INVALID, OUTBOX_KEY_MISSING, OUTBOX_KEY_INVALID
 */
export async function encryptEvent<Event extends NewEvent>(event: Event, keys: KeyProvider): Promise<Event> {
  assertEvent(event);
  const { payloadText, payloadBase64 } = checkedPayload(event);
  const { payload: _payload, payloadText: _text, payloadBytes: _bytes, ...rest } = event;
  const { type, contentType = 'application/json', id, dedupKey } = rest;
  if (contentType === encryptedType)
    throw invalidEvent(
      'contentType',
      `${encryptedType} is what encrypted events have; this one is encrypted already`,
    );
  const envelope = await sealPayload(
    {
      ...{ type, contentType },
      payload: payloadText ?? Buffer.from(payloadBase64 ?? '', 'base64'),
      name:
        id === undefined && dedupKey === undefined
          ? undefined
          : JSON.stringify([id?.toLowerCase(), dedupKey]),
    },
    keys,
  );
  const text = JSON.stringify(envelope);
  if (text.length > payloadBytesMax)
    throw invalidEvent(
      'payload',
      'encrypted it is more than 1 MiB: about 760 KiB fit; store the document and send its address',
    );
  return { ...rest, contentType: encryptedType, payloadText: text } as unknown as Event;
}
