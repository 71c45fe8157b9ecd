/** How an encrypted payload is stored: as a JSON object, under a content type of its own, by which the row is known. */

/** Of every event whose payload is an envelope; what the payload itself is stands in the envelope. */
export const encryptedType = 'application/vnd.temporal-outbox.encrypted+json';

export interface Envelope {
  readonly alg: 'A256GCM';
  /** Which key: 1 to 100 of A-Z, a-z, 0-9, `.`, `_`, `-`. */
  readonly kid: string;
  /** 12 bytes, base64. */
  readonly iv: string;
  /** 16 bytes, base64. */
  readonly tag: string;
  /** The encrypted payload, base64. */
  readonly data: string;
  /** Of the payload. */
  readonly contentType: string;
  /** `bytes` for a payload of bytes; else its text is JSON. */
  readonly form: 'json' | 'bytes';
}

export function isEncrypted({ contentType }: { readonly contentType: string | null }): boolean {
  return contentType === encryptedType;
}

export const kidPattern = /^[A-Za-z0-9._-]{1,100}$/;

/** Null for what is no envelope. */
export function parseEnvelope(text: string | null): Envelope | null {
  if (text === null) return null;
  try {
    const value = JSON.parse(text) as Partial<Envelope> | null;
    if (typeof value !== 'object' || value === null) return null;
    const { alg, kid, iv, tag, data, contentType, form } = value;
    const texts = [kid, iv, tag, data, contentType].every((each) => typeof each === 'string');
    if (!texts || alg !== 'A256GCM' || !kidPattern.test(kid ?? '') || (form !== 'json' && form !== 'bytes'))
      return null;
    return value as Envelope;
  } catch {
    return null;
  }
}

/** What is authenticated beside the payload: an envelope that was moved to an event of another type, or told to be something else, does not open. */
export function authenticated(
  type: string,
  { kid, contentType, form }: Pick<Envelope, 'kid' | 'contentType' | 'form'>,
): Buffer {
  return Buffer.from(`temporal-outbox\n${kid}\n${form}\n${contentType}\n${type}`);
}
