/** Where keys come from. */
import { OutboxError } from '../errors.ts';
import { kidPattern } from './envelope.ts';

/** Yours, for a key management service; or made by {@link encryptionKeys}. Asked for every payload: keep what it fetched. */
export interface KeyProvider {
  /** The id of the key that payloads are encrypted with from now on. */
  readonly current: string;
  /** 32 bytes; undefined where there is no such key. Throws where that cannot be known now. */
  key(kid: string): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

export interface EncryptionKeys {
  readonly current: string;
  /** By id; 32 bytes, or base64 of them. Those before stay until no row uses them any more. */
  readonly keys: Readonly<Record<string, string | Uint8Array>>;
}

/**
 * Keys that you have in your hands.
 *
 * @throws OutboxError OUTBOX_KEY_INVALID: an id or a key that cannot be one, or no current one
 */
export function encryptionKeys({ current, keys }: EncryptionKeys): KeyProvider {
  const known = new Map(Object.entries(keys).map(([kid, key]) => [checkedKid(kid), keyBytes(kid, key)]));
  if (!known.has(current))
    throw new OutboxError(
      'OUTBOX_KEY_INVALID',
      `current: there is no key ${JSON.stringify(current)} among those given`,
    );
  return { current, key: (kid) => known.get(kid) };
}

function checkedKid(kid: string): string {
  if (kidPattern.test(kid)) return kid;
  throw new OutboxError(
    'OUTBOX_KEY_INVALID',
    'expected the id of a key to be 1 to 100 of A-Z, a-z, 0-9, ., _ and -',
  );
}

/** Never tells the key. */
export function keyBytes(kid: string, key: string | Uint8Array): Uint8Array {
  const bytes = typeof key === 'string' ? Buffer.from(key.trim(), 'base64') : key;
  const isBase64 = typeof key !== 'string' || /^[A-Za-z0-9+/]{43}=$/.test(key.trim());
  if (bytes.length === 32 && isBase64) return bytes;
  throw new OutboxError('OUTBOX_KEY_INVALID', `key ${kid}: expected 32 bytes, as base64 44 characters`, {
    hint: 'openssl rand -base64 32 makes one.',
  });
}
