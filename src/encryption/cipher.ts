/** AES-256-GCM by Node's own crypto: a payload → its envelope, and back. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { OutboxError } from '../errors.ts';
import { authenticated, parseEnvelope, type Envelope } from './envelope.ts';
import { keyBytes, type KeyProvider } from './keys.ts';

export interface Sealed {
  /** Of the event. */
  readonly type: string;
  readonly contentType: string;
  /** JSON text, or bytes. */
  readonly payload: string | Uint8Array;
  /** Of an event that may be written again: under the same name the same payload becomes the same envelope. */
  readonly name?: string | undefined;
}

export interface Opened {
  readonly contentType: string;
  readonly payload: string | Uint8Array;
  readonly kid: string;
}

/** @throws OutboxError OUTBOX_KEY_MISSING, OUTBOX_KEY_INVALID */
export async function sealPayload(
  { type, contentType, payload, name }: Sealed,
  keys: KeyProvider,
): Promise<Envelope> {
  const kid = keys.current;
  const key = await keyOf(keys, kid);
  const form = typeof payload === 'string' ? ('json' as const) : ('bytes' as const);
  const about = authenticated(type, { kid, contentType, form });
  const plain = Buffer.from(payload);
  const iv = name === undefined ? randomBytes(12) : namedIv(key, name, about, plain);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(about);
  const data = Buffer.concat([cipher.update(plain), cipher.final()]);
  const base64 = (bytes: Buffer): string => bytes.toString('base64');
  return {
    ...{ alg: 'A256GCM', kid, iv: base64(iv), tag: base64(cipher.getAuthTag()) },
    ...{ data: base64(data), contentType, form },
  };
}

/** The same for the same name and payload alone, so that no two payloads ever share one under a key. */
function namedIv(key: Uint8Array, name: string, about: Buffer, plain: Buffer): Buffer {
  const secret = createHmac('sha256', key).update('temporal-outbox iv').digest();
  const lengths = Buffer.from(`${Buffer.byteLength(name)} ${about.length}\n`);
  return createHmac('sha256', secret)
    .update(lengths)
    .update(name)
    .update(about)
    .update(plain)
    .digest()
    .subarray(0, 12);
}

/**
 * @throws OutboxError OUTBOX_KEY_MISSING: another process, or this one later, may have the key
 * @throws OutboxError OUTBOX_PAYLOAD_UNREADABLE: it is no envelope, was changed, or the key is another one of that name
 */
export async function openPayload(
  type: string,
  text: string | null,
  keys: KeyProvider | null,
): Promise<Opened> {
  const envelope = parseEnvelope(text);
  if (envelope === null) throw unreadable('it is no envelope');
  const { kid, contentType, form } = envelope;
  const key = await keyOf(keys, kid);
  const bytes = (part: 'iv' | 'tag' | 'data'): Buffer => Buffer.from(envelope[part], 'base64');
  const [iv, tag] = [bytes('iv'), bytes('tag')];
  if (iv.length !== 12 || tag.length !== 16) throw unreadable('it is no envelope');
  let plain: Buffer;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
    decipher.setAAD(authenticated(type, envelope)).setAuthTag(tag);
    plain = Buffer.concat([decipher.update(bytes('data')), decipher.final()]);
  } catch {
    throw unreadable(`it was changed, or key ${kid} is not the one that it was encrypted with`);
  }
  return { contentType, kid, payload: form === 'json' ? plain.toString() : plain };
}

async function keyOf(keys: KeyProvider | null, kid: string): Promise<Uint8Array> {
  const key = keys === null ? undefined : await found(keys, kid);
  if (key === undefined)
    throw new OutboxError('OUTBOX_KEY_MISSING', `there is no key ${kid} here`, {
      hint: 'Add it under encryption.keys, and give its value to every process that sends; temporal-outbox doctor says which keys are used.',
    });
  return keyBytes(kid, key);
}

async function found(keys: KeyProvider, kid: string): Promise<Uint8Array | undefined> {
  try {
    return await keys.key(kid);
  } catch (cause) {
    throw new OutboxError('OUTBOX_KEY_MISSING', `key ${kid} cannot be had now`, { cause });
  }
}

function unreadable(why: string): OutboxError {
  return new OutboxError('OUTBOX_PAYLOAD_UNREADABLE', `the encrypted payload cannot be read: ${why}`, {
    hint: 'Nobody can read it without its key. Discard it, or edit it: its producer knows what it was.',
  });
}
