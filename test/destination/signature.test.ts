import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterEach, describe, expect, it } from 'vitest';
import { signatures, signingKey } from '../../src/destination/http/signature.ts';
import { closeSenders, deliverTo, eventId } from './support/fixtures.ts';
import { closeReceivers, httpReceiver } from './support/receivers.ts';

afterEach(async () => {
  await closeSenders();
  await closeReceivers();
});

const publishedSecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const otherSecret = `whsec_${Buffer.alloc(64, 9).toString('base64')}`;

function signing(...secrets: string[]) {
  return { signing: { scheme: 'standard-webhooks', secrets } } as const;
}

describe('a signature', () => {
  it('is the one of the published vector', () => {
    const key = signingKey(publishedSecret);
    const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
    expect(signatures([key], id, '1614265330', '{"test": 2432232314}')).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    );
  });

  it('is the one the reference library makes', () => {
    const at = new Date(1_700_000_000_000);
    const body = '{"text": "Zoë 🎉", "n": 12345678901234567890}';
    const theirs = new Webhook(otherSecret).sign(eventId, at, body);
    expect(signatures([signingKey(otherSecret)], eventId, '1700000000', body)).toBe(theirs);
  });

  it('is accepted by the reference library as it arrives', async () => {
    const receiver = await httpReceiver();
    const payload = '{"text": "Zoë 🎉", "n": 12345678901234567890}';
    await deliverTo(receiver.url, signing(publishedSecret), { payload, revision: 2 });
    const { body, headers } = receiver.requests[0]!;
    const verify = () => new Webhook(publishedSecret).verify(body, headers as Record<string, string>);
    expect(verify()).toMatchObject({ text: 'Zoë 🎉' });
    body[0] = 0x5b;
    expect(verify).toThrow();
  });

  it('is made with every secret while keys rotate, and each receiver finds its own', async () => {
    const receiver = await httpReceiver();
    await deliverTo(
      receiver.url,
      signing('env:NEW', 'env:OLD'),
      {},
      { env: { NEW: otherSecret, OLD: publishedSecret } },
    );
    const { body, headers } = receiver.requests[0]!;
    expect(headers['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/);
    for (const secret of [otherSecret, publishedSecret]) {
      expect(() => new Webhook(secret).verify(body, headers as Record<string, string>)).not.toThrow();
    }
    const third = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
    expect(() => new Webhook(third).verify(body, headers as Record<string, string>)).toThrow();
  });

  it('covers the envelope of structured CloudEvents', async () => {
    const receiver = await httpReceiver();
    await deliverTo(receiver.url, { ...signing(publishedSecret), cloudEvents: 'structured' });
    const { body, headers } = receiver.requests[0]!;
    expect(() => new Webhook(publishedSecret).verify(body, headers as Record<string, string>)).not.toThrow();
  });

  it('is HMAC-SHA256 over id, timestamp and body', () => {
    const key = Buffer.alloc(24, 5);
    const expected = createHmac('sha256', key).update('a.1.b').digest('base64');
    expect(signatures([signingKey(`whsec_${key.toString('base64')}`)], 'a', '1', 'b')).toBe(`v1,${expected}`);
  });
});

describe('a destination that cannot work', () => {
  const secret = 'whsec_c2hvcnQ=';
  it.each([
    ['a secret that is missing', signing('env:NONE'), /NONE/],
    ['a secret that is too short', signing('env:SHORT'), /SHORT.*24 to 64/],
    ['a secret without its prefix', signing('env:BARE'), /BARE.*whsec_/],
    ['one good and one missing secret', signing(publishedSecret, 'env:NONE'), /NONE/],
    ['a token that is missing', { auth: { kind: 'bearer', token: 'env:NONE' } }, /NONE/],
    ['a token with a line break', { auth: { kind: 'bearer', token: 'env:BROKEN' } }, /auth/],
    ['a username with a colon', { auth: { kind: 'basic', username: 'a:b', password: 'x' } }, /colon/],
    ['a header value that is missing', { headers: { 'x-a': 'env:NONE' } }, /NONE/],
    ['a header with a line break', { headers: { 'x-a': 'env:BROKEN' } }, /x-a/],
    ['a header name with a space', { headers: { 'x a': 'y' } }, /header name/],
    ['a header of ours', { headers: { 'Webhook-Id': 'y' } }, /webhook-id/],
    ['an address with a missing variable', { url: 'http://${NONE}/' }, /NONE/],
    ['an address that is none', { url: '${BARE}' }, /not a URL/],
    ['an address of another scheme', { url: 'file:///etc/passwd' }, /file:/],
    ['an address with credentials', { url: 'http://user:hunter2@localhost/' }, /credentials/],
    ['an address with half a variable', { url: 'http://${A:-b}/' }, /\$\{/],
  ] as const)('refuses every message for good: %s', async (_, changes, expected) => {
    const env = { SHORT: secret, BARE: 'not-a-secret', BROKEN: 'one\r\ntwo' };
    const outcome = await deliverTo('http://127.0.0.1:1/', changes, {}, { env });
    expect(outcome).toMatchObject({
      kind: 'refused',
      permanent: true,
      errorClass: 'bad-configuration',
      status: null,
    });
    const { message } = outcome as { message: string };
    expect(message).toMatch(expected);
    expect(message).not.toMatch(/c2hvcnQ|not-a-secret|one|hunter2/);
  });

  it('reads its secrets once', async () => {
    const receiver = await httpReceiver();
    let reads = 0;
    const resolveSecret = () => (reads++, publishedSecret);
    const { sender } = await import('./support/fixtures.ts');
    const to = sender(receiver.url, signing('env:A'), { resolveSecret });
    await Promise.all([to.deliver(), to.deliver(), to.deliver()]);
    expect(reads).toBe(1);
  });
});
