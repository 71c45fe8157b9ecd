/** Encrypted payloads as they are read back: by who may. */
import type { KeyProvider } from './keys.ts';
import { openPayload, sealPayload } from './cipher.ts';
import { isEncrypted, parseEnvelope } from './envelope.ts';
import { isOutboxError, OutboxError } from '../errors.ts';

export interface StoredPayload {
  readonly contentType: string;
  readonly payloadText: string | null;
  readonly payloadBase64: string | null;
}

export interface ReadPayload extends StoredPayload {
  /** Absent: it is not encrypted. `problem`: why what is shown is the envelope. */
  readonly encrypted?: { readonly kid: string | null; readonly problem: string | null };
}

/** Decrypted where it can be; else the envelope, and why. */
export async function readPayload(
  type: string,
  stored: StoredPayload,
  keys: KeyProvider | null,
): Promise<ReadPayload> {
  const { contentType, payloadText, payloadBase64 } = stored;
  if (!isEncrypted(stored) || payloadText === null) return { contentType, payloadText, payloadBase64 };
  try {
    const opened = await openPayload(type, payloadText, keys);
    const { payload } = opened;
    return {
      contentType: opened.contentType,
      payloadText: typeof payload === 'string' ? payload : null,
      payloadBase64: typeof payload === 'string' ? null : Buffer.from(payload).toString('base64'),
      encrypted: { kid: opened.kid, problem: null },
    };
  } catch (error) {
    if (!isOutboxError(error)) throw error;
    const kid = parseEnvelope(payloadText)?.kid ?? null;
    return { contentType, payloadText, payloadBase64, encrypted: { kid, problem: error.message } };
  }
}

/**
 * What an edit of an encrypted event stores, under the key that is current now.
 *
 * @throws OutboxError OUTBOX_KEY_MISSING, OUTBOX_COMMAND_REFUSED: bytes for JSON, or JSON for bytes
 */
export async function sealEdit(
  type: string,
  before: StoredPayload,
  payload: string | Uint8Array,
  keys: KeyProvider,
): Promise<string> {
  const { contentType = 'application/json', form } = parseEnvelope(before.payloadText) ?? {};
  const isText = typeof payload === 'string';
  if (form !== undefined && (form === 'json') !== isText)
    throw new OutboxError(
      'OUTBOX_COMMAND_REFUSED',
      `its payload is ${form === 'json' ? 'JSON: edit it as JSON' : 'bytes: edit it as bytes, in base64 or from a file'}`,
    );
  return JSON.stringify(await sealPayload({ type, contentType, payload }, keys));
}
