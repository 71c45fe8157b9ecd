import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { signatures, signingKey } from '../../src/destination/http/signature.ts';
import { createVerifier } from '../../src/receiver/index.ts';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const other = `whsec_${Buffer.alloc(64, 9).toString('base64')}`;
const vector = {
  'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  'webhook-timestamp': '1614265330',
  'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};
const body = '{"test": 2432232314}';
const at = (seconds: number) => ({ now: () => seconds * 1000 });
const verify = createVerifier([secret], at(1_614_265_330));
const invalid = expect.objectContaining({ code: 'OUTBOX_SIGNATURE_INVALID' }) as Error;

test('the published vector is accepted, as text and as bytes, with headers of Node and of fetch', () => {
  const verified = { id: vector['webhook-id'], timestamp: 1_614_265_330 };
  expect(verify(vector, body)).toEqual(verified);
  expect(verify(new Headers(vector), Buffer.from(body))).toEqual(verified);
});

test('what the reference library signs is accepted, and what is accepted the reference library accepts', () => {
  const bodies = fc.oneof(fc.json(), fc.string({ unit: 'grapheme' }), fc.constant(''));
  const keys = fc.uint8Array({ minLength: 24, maxLength: 64 });
  fc.assert(
    fc.property(bodies, keys, fc.uuid(), (text, bytes, id) => {
      const own = `whsec_${Buffer.from(bytes).toString('base64')}`;
      const reference = new Webhook(own);
      const now = new Date();
      const seconds = String(Math.floor(now.getTime() / 1000));
      const headers = { 'webhook-id': id, 'webhook-timestamp': seconds };
      const theirs = { ...headers, 'webhook-signature': reference.sign(id, now, text) };
      expect(createVerifier([own])(theirs, text).id).toBe(id);
      const ours = { ...headers, 'webhook-signature': signatures([signingKey(own)], id, seconds, text) };
      expect(ours).toEqual(theirs);
      expect(() => createVerifier([other])(theirs, text)).toThrow(invalid);
    }),
  );
  expect(new Webhook(secret).sign(vector['webhook-id'], new Date(1_614_265_330_000), body)).toBe(
    vector['webhook-signature'],
  );
});

test('while secrets rotate, either side may know both', () => {
  const both = signatures([signingKey(other), signingKey(secret)], 'msg_1', '1614265330', body);
  const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': '1614265330', 'webhook-signature': both };
  for (const known of [[secret], [other], [other, secret]])
    expect(createVerifier(known, at(1_614_265_330))(headers, body).id).toBe('msg_1');
  const one = { ...headers, 'webhook-signature': both.split(' ')[1] };
  expect(createVerifier([other, secret], at(1_614_265_330))(one, body).id).toBe('msg_1');
  expect(() => createVerifier([other], at(1_614_265_330))(one, body)).toThrow(invalid);
});

test('unknown versions are passed over', () => {
  const signature = `v1a,AAAA v2,${'A'.repeat(44)} ${vector['webhook-signature']} v1`;
  expect(verify({ ...vector, 'webhook-signature': signature }, body).id).toBe(vector['webhook-id']);
});

test('the timestamp may be 300 seconds off, either way, and no more', () => {
  for (const off of [-300, 300])
    expect(createVerifier([secret], at(1_614_265_330 + off))(vector, body)).toBeDefined();
  for (const off of [-301, 301])
    expect(() => createVerifier([secret], at(1_614_265_330 + off))(vector, body)).toThrow(invalid);
  const patient = createVerifier([secret], { ...at(1_614_265_330 + 3_600), toleranceSeconds: 3_600 });
  expect(patient(vector, body)).toBeDefined();
});

describe('refused', () => {
  const signatureBytes = Buffer.from(vector['webhook-signature'].slice(3), 'base64');
  test.each<[string, Record<string, string | undefined>]>([
    ['no id', { 'webhook-id': undefined }],
    ['an empty id', { 'webhook-id': '' }],
    ['another id', { 'webhook-id': 'msg_2' }],
    ['an id with a dot', { 'webhook-id': 'msg.1' }],
    ['no timestamp', { 'webhook-timestamp': undefined }],
    ['an empty timestamp', { 'webhook-timestamp': '' }],
    ['a timestamp with decimals', { 'webhook-timestamp': '1614265330.0' }],
    ['a timestamp with an exponent', { 'webhook-timestamp': '1614265330e0' }],
    ['a hexadecimal timestamp', { 'webhook-timestamp': '0x603791f2' }],
    ['a negative timestamp', { 'webhook-timestamp': '-1614265330' }],
    ['a timestamp with a plus', { 'webhook-timestamp': '+1614265330' }],
    ['a timestamp with spaces', { 'webhook-timestamp': ' 1614265330' }],
    ['a timestamp in milliseconds', { 'webhook-timestamp': '1614265330000' }],
    ['a timestamp that is a word', { 'webhook-timestamp': 'now' }],
    ['no signature', { 'webhook-signature': undefined }],
    ['an empty signature', { 'webhook-signature': '' }],
    ['a bare version', { 'webhook-signature': 'v1,' }],
    ['a signature without its version', { 'webhook-signature': vector['webhook-signature'].slice(3) }],
    ['another version', { 'webhook-signature': vector['webhook-signature'].replace('v1', 'v2') }],
    ['a signature in hex', { 'webhook-signature': `v1,${signatureBytes.toString('hex')}` }],
    ['a signature in base64url', { 'webhook-signature': `v1,${signatureBytes.toString('base64url')}` }],
    [
      'a signature without its padding',
      { 'webhook-signature': vector['webhook-signature'].replace('=', '') },
    ],
    ['half a signature', { 'webhook-signature': vector['webhook-signature'].slice(0, 20) }],
    ['a signature of zeros', { 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` }],
    ['a signature of multi-byte characters', { 'webhook-signature': `v1,${'é'.repeat(44)}` }],
    ['commas in place of spaces', { 'webhook-signature': `v1,AAAA,${vector['webhook-signature']}` }],
  ])('%s', (_, changed) => {
    expect(() => verify({ ...vector, ...changed }, body)).toThrow(invalid);
  });

  test('a body with any byte changed, added or taken away', () => {
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.integer({ min: 1, max: 255 }), (place, change) => {
        const bytes = Buffer.from(body);
        bytes[place] = bytes[place]! ^ change;
        expect(() => verify(vector, bytes)).toThrow(invalid);
      }),
    );
    for (const each of ['', `${body} `, body.slice(1), ` ${body}`])
      expect(() => verify(vector, each)).toThrow(invalid);
  });

  test('a border between id, timestamp and body that was moved', () => {
    const signature = signatures([signingKey(secret)], 'msg_1', '1614265330', '1614265330.5');
    const moved = {
      'webhook-id': 'msg_1.1614265330',
      'webhook-timestamp': '1614265330',
      'webhook-signature': signature,
    };
    expect(() => verify(moved, '5')).toThrow(invalid);
  });

  test('the message says what is wrong, and neither secret nor signature', () => {
    try {
      verify({ ...vector, 'webhook-id': 'msg_2' }, body);
      expect.unreachable();
    } catch (error) {
      expect((error as Error).message).toBe(
        'the request is refused: no signature matches one of the secrets',
      );
    }
  });
});

test.each([
  ['none', []],
  ['an empty one', ['']],
  ['one that is not set', [undefined]],
  ['a bare prefix', ['whsec_']],
  ['one without its prefix', [secret.slice(6)]],
  ['one that is too short', [`whsec_${Buffer.alloc(23).toString('base64')}`]],
  ['one that is too long', [`whsec_${Buffer.alloc(65).toString('base64')}`]],
  ['one that is no base64', ['whsec_!!!!AAAAAAAAAAAAAAAAAAAAAAAAAAAA']],
  ['a public key', ['whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']],
  ['a good one and a bad one', [secret, 'nonsense-that-is-secret']],
  ['a text in place of a list', secret],
])('secrets are refused at once: %s', (_, secrets) => {
  try {
    createVerifier(secrets as string[]);
    expect.unreachable();
  } catch (error) {
    expect(error).toMatchObject({ code: 'OUTBOX_SECRET_MISSING' });
    expect((error as Error).message).not.toContain('nonsense');
  }
});

test.each([0, -1, Number.NaN, 86_401, '300'])('a tolerance of %s is refused', (toleranceSeconds) => {
  expect(() => createVerifier([secret], { toleranceSeconds: toleranceSeconds as number })).toThrow(
    'toleranceSeconds',
  );
});
