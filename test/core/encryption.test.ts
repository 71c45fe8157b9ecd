/** Payload encryption by itself: what opens, and what does not. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openPayload, sealPayload } from '../../src/encryption/cipher.ts';
import { parseEnvelope } from '../../src/encryption/envelope.ts';
import { encryptEvent } from '../../src/encryption/event.ts';
import { encryptionKeys } from '../../src/encryption/keys.ts';

const type = 'order.created';
const keys = encryptionKeys({ current: 'k1', keys: { k1: randomBytes(32) } });
const seal = async (payload: string | Uint8Array, name?: string) =>
  sealPayload({ type, contentType: 'application/json', payload, name }, keys);
const opened = async (envelope: object, of = type) => openPayload(of, JSON.stringify(envelope), keys);

test('what was encrypted comes back to the byte, text as text and bytes as bytes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array()), async (payload) => {
      const back = await opened(await seal(payload));
      if (typeof payload === 'string') expect(back.payload).toBe(payload);
      else expect(Buffer.from(back.payload).equals(payload)).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test('the envelope of the page opens with the key of the page', async () => {
  const page = await readFile(new URL('../../docs/encryption.md', import.meta.url), 'utf8');
  const key = /key `([A-Za-z0-9+/=]{44})`/.exec(page)?.[1] ?? '';
  const envelope = /```json\n(\{[^`]*"A256GCM"[^`]*\})\n```/.exec(page)?.[1] ?? '';
  const { payload } = await openPayload(type, envelope, encryptionKeys({ current: 'k1', keys: { k1: key } }));
  expect(payload).toBe('{"id": "o-1"}');
});

test('an envelope that was changed anywhere, moved to another type or met by another key does not open', async () => {
  const envelope = await seal('{"total":1}');
  const flipped = (text: string): string => {
    const bytes = Buffer.from(text, 'base64');
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    return bytes.toString('base64');
  };
  const changes = [
    { iv: flipped(envelope.iv) },
    { tag: flipped(envelope.tag) },
    { data: flipped(envelope.data) },
    { tag: envelope.tag.slice(0, 8) },
    { contentType: 'text/plain' },
    { form: 'bytes' },
    { alg: 'none' },
  ];
  for (const change of changes)
    await expect(opened({ ...envelope, ...change }), JSON.stringify(change)).rejects.toMatchObject({
      code: 'OUTBOX_PAYLOAD_UNREADABLE',
    });
  await expect(opened(envelope, 'order.paid')).rejects.toMatchObject({ code: 'OUTBOX_PAYLOAD_UNREADABLE' });
  const others = encryptionKeys({ current: 'k1', keys: { k1: randomBytes(32) } });
  await expect(openPayload(type, JSON.stringify(envelope), others)).rejects.toMatchObject({
    code: 'OUTBOX_PAYLOAD_UNREADABLE',
  });
  await expect(opened({ ...envelope, kid: 'k2' })).rejects.toMatchObject({ code: 'OUTBOX_KEY_MISSING' });
  for (const text of [null, '', 'null', '[]', '{}', '"x"', '{"alg":"A256GCM","kid":["k1"]}'])
    expect(parseEnvelope(text), String(text)).toBeNull();
});

test('under one name the same payload becomes the same envelope, and no other does', async () => {
  const [one, again, other, unnamed] = await Promise.all([
    seal('{"total":1}', 'a'),
    seal('{"total":1}', 'a'),
    seal('{"total":2}', 'a'),
    seal('{"total":1}'),
  ]);
  expect(again).toEqual(one);
  expect(other.iv).not.toBe(one.iv);
  expect(unnamed.iv).not.toBe(one.iv);
  expect((await seal('{"total":1}', 'b')).iv).not.toBe(one.iv);
});

test('keys that are none are refused without being told; so are events that do not fit', async () => {
  expect(() => encryptionKeys({ current: 'k1', keys: { k1: 'c2hvcnQ=' } })).toThrow(
    /key k1: expected 32 bytes/,
  );
  expect(() => encryptionKeys({ current: 'k2', keys: { k1: randomBytes(32) } })).toThrow(/no key "k2"/);
  expect(() => encryptionKeys({ current: 'a b', keys: { 'a b': randomBytes(32) } })).toThrow(/id of a key/);
  await expect(encryptEvent({ type, payload: 'x'.repeat(900_000) }, keys)).rejects.toThrow(/more than 1 MiB/);
  const twice = await encryptEvent({ type, payload: {} }, keys);
  await expect(encryptEvent(twice, keys)).rejects.toThrow(/encrypted already/);
});
