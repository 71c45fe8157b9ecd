/** An edit: the new text is stored first and the command names it by number, so no payload enters a workflow's history. */
import { isEncrypted } from '../encryption/envelope.ts';
import type { KeyProvider } from '../encryption/keys.ts';
import { sealEdit } from '../encryption/stored.ts';
import { OutboxError } from '../errors.ts';
import type { Queryable } from '../storage/connect.ts';
import { readDeadLetterEvent, type DeadLetter } from '../storage/deadLetters.ts';
import { prepareRevision } from '../storage/resolutions.ts';

export interface Edit {
  /** JSON, kept digit for digit. */
  readonly payloadText?: string | undefined;
  /** In place of it, for an event of bytes. */
  readonly payloadBytes?: Uint8Array | undefined;
  /** Added to those it has, or in their place. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly actor: string;
  readonly reason?: string | undefined;
}

/**
 * Stores it and answers its number.
 * @throws OutboxError OUTBOX_KEY_MISSING where the event is encrypted and the current key is not here
 * @throws OutboxError OUTBOX_COMMAND_REFUSED when it does not fit, or the letter is not parked any more
 */
export async function prepareEdit(
  db: Queryable,
  letter: DeadLetter,
  edit: Edit,
  keys: KeyProvider,
): Promise<number> {
  const { eventId, destination } = letter;
  const event = await readDeadLetterEvent(db, letter.id);
  const { payloadText, payloadBytes, headers, actor, reason } = await sealedAsBefore(
    letter,
    event,
    edit,
    keys,
  );
  // Null leaves them as they are.
  const merged = headers === undefined ? null : JSON.stringify({ ...event?.headers, ...headers });
  const revision = await prepareRevision(db, {
    ...{ eventId, destination, actor },
    payload: payloadText ?? null,
    payloadBytes: payloadBytes ?? null,
    reason: reason ?? null,
    headers: merged,
  }).catch((error: unknown) => {
    throw explain(error);
  });
  if (revision === undefined)
    throw new OutboxError('OUTBOX_COMMAND_REFUSED', `dead letter ${letter.id} is not parked any more`);
  return revision;
}

/** The payload of an encrypted event is encrypted again, with the key that is current now. */
async function sealedAsBefore(
  { eventType }: DeadLetter,
  event: Awaited<ReturnType<typeof readDeadLetterEvent>>,
  edit: Edit,
  keys: KeyProvider,
): Promise<Edit> {
  const payload = edit.payloadText ?? edit.payloadBytes;
  if (payload === undefined || event === undefined || !isEncrypted(event)) return edit;
  return { ...edit, payloadText: await sealEdit(eventType, event, payload, keys), payloadBytes: undefined };
}

/** Check violations, text that jsonb does not take (NUL, half characters), and JSON for bytes or bytes for JSON. */
function explain(error: unknown): unknown {
  const { code = '', message = '' } = (error ?? {}) as { code?: string; message?: string };
  if (code === '23514') {
    return new OutboxError(
      'OUTBOX_COMMAND_REFUSED',
      'the edited event does not fit: payload at most 1 MiB, headers an object of strings of at most 16 KiB',
      { cause: error },
    );
  }
  if (code === 'P0001') return new OutboxError('OUTBOX_COMMAND_REFUSED', message, { cause: error });
  if (!code.startsWith('22')) return error;
  return new OutboxError('OUTBOX_COMMAND_REFUSED', `PostgreSQL does not take this payload: ${message}`, {
    cause: error,
  });
}
