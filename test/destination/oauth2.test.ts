import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HttpDestinationConfig } from '../../src/destination/http/config.ts';
import { authority } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
import { closeSenders, destination, message, sender } from './support/fixtures.ts';
import { closeSecured, proxy, securedReceiver, type Answer, type Seen } from './support/secured.ts';

afterEach(async () => {
  await closeSenders();
  await closeSecured();
});

const secret = 'pa/ss+w0rd :of the client';
const env = { SECRET: secret, CLIENT: 'outbox:1' };

type Receiver = Awaited<ReturnType<typeof securedReceiver>>;
let endpoint: Receiver;
let receiver: Receiver;
/** Tokens that the receiver takes. */
let valid: Set<string>;
let issue: (seen: Seen, count: number) => Answer | Promise<Answer>;

const token = (count: number, more: object = { expires_in: 3600 }): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ access_token: `token-number-${count}`, token_type: 'bearer', ...more }),
});

beforeEach(async () => {
  valid = new Set(Array.from({ length: 20 }, (_, count) => `Bearer token-number-${count}`));
  issue = (_, count) => token(count);
  endpoint = await securedReceiver(null, (seen, count) => issue(seen, count));
  receiver = await securedReceiver(null, ({ headers }) =>
    valid.has(headers.authorization ?? '')
      ? { status: 204 }
      : { status: 401, body: `who is ${headers.authorization}?` },
  );
});

function sending(changes: object = {}, more: Partial<HttpDestinationConfig> = {}) {
  const auth = {
    kind: 'oauth2' as const,
    tokenUrl: endpoint.url,
    clientId: 'env:CLIENT',
    clientSecret: 'env:SECRET',
    scope: null,
    audience: null,
    sendAs: 'basic' as const,
    tls: null,
    ...changes,
  };
  return sender(receiver.url, { auth, ...more }, { env });
}

describe('client credentials', () => {
  it('become one token, asked for once by however many messages, and kept', async () => {
    const { deliver } = sending({ scope: 'orders.write stock', audience: 'https://billing.test' });
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => deliver()));
    expect(outcomes.every(({ kind }) => kind === 'acknowledged')).toBe(true);
    expect(receiver.seen.every(({ headers }) => headers.authorization === 'Bearer token-number-1')).toBe(
      true,
    );
    expect(endpoint.seen).toHaveLength(1);
    const [asked] = endpoint.seen;
    expect(Object.fromEntries(new URLSearchParams(asked?.body))).toEqual({
      grant_type: 'client_credentials',
      scope: 'orders.write stock',
      audience: 'https://billing.test',
    });
    // RFC 6749, 2.3.1: encoded as in a form, then joined.
    const [, basic = ''] = asked?.headers.authorization?.split(' ') ?? [];
    const [id, password] = Buffer.from(basic, 'base64').toString().split(':');
    expect([id, password].map((each) => new URLSearchParams(`a=${each}`).get('a'))).toEqual([
      'outbox:1',
      secret,
    ]);
  });

  it('go in the form where that is asked for', async () => {
    await sending({ sendAs: 'body' }).deliver();
    const [asked] = endpoint.seen;
    expect(asked?.headers).not.toHaveProperty('authorization');
    expect(Object.fromEntries(new URLSearchParams(asked?.body))).toMatchObject({
      client_id: 'outbox:1',
      client_secret: secret,
    });
  });

  it('bring a new token shortly before the old one ends', async () => {
    issue = (_, count) => token(count, { expires_in: 1 });
    const { deliver } = sending();
    await deliver();
    await eventually(async () => {
      expect(await deliver()).toMatchObject({ kind: 'acknowledged' });
      expect(endpoint.seen.length).toBeGreaterThan(1);
    });
    expect(receiver.seen.at(-1)?.headers.authorization).toBe('Bearer token-number-2');
  });

  it('bring no authorization of an event’s own with them', async () => {
    await sending().deliver({ headers: { authorization: 'Bearer forged' } });
    expect(receiver.seen[0]?.headers.authorization).toBe('Bearer token-number-1');
  });
});

describe('a token that the receiver takes no more', () => {
  it('is renewed once for all messages under way, which are sent again with the next', async () => {
    const { deliver } = sending();
    await deliver();
    valid.delete('Bearer token-number-1');
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => deliver()));
    expect(outcomes.every(({ kind }) => kind === 'acknowledged')).toBe(true);
    expect(endpoint.seen).toHaveLength(2);
  });

  it('and whose successor it takes no better is a 401 as without tokens, not a storm of renewals', async () => {
    const { deliver } = sending();
    await deliver();
    valid.clear();
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => deliver()));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ kind: 'refused', errorClass: 'http-401' });
      expect(JSON.stringify(outcome)).not.toMatch(/token-number/);
    }
    await deliver();
    expect(endpoint.seen).toHaveLength(2);
    expect(receiver.seen.length).toBeLessThanOrEqual(1 + 60 + 1);
  });

  it('stays in use while no other can be had, if it is only about to end', async () => {
    issue = (_, count) => (count === 1 ? token(1, { expires_in: 20 }) : { status: 503 });
    const { deliver } = sending();
    const realNow = performance.now.bind(performance);
    const start = realNow();
    await deliver();
    performance.now = () => start + 18_500 + (realNow() - start);
    try {
      expect(await deliver()).toMatchObject({ kind: 'acknowledged' });
      expect(endpoint.seen).toHaveLength(2);
    } finally {
      performance.now = realNow;
    }
  });
});

describe('a token endpoint', () => {
  it.each([
    [
      'refuses the client',
      () => ({
        status: 401,
        body: JSON.stringify({ error: 'invalid_client', error_description: `not ${secret}` }),
      }),
      /answered 401 Unauthorized \(invalid_client: not \[redacted\]\)$/,
    ],
    ['is overloaded', () => ({ status: 503, headers: { 'retry-after': '7' } }), /answered 503/],
    ['redirects', () => ({ status: 302, headers: { location: 'http://169.254.169.254/' } }), /answered 302/],
    ['answers in HTML', () => ({ status: 200, body: '<p>log in</p>' }), /without a usable access_token/],
    ['gives a token of another kind', () => token(1, { token_type: 'DPoP' }), /without a usable/],
    ['gives no text', () => ({ status: 200, body: '{"access_token": {"a": 1}}' }), /without a usable/],
    [
      'gives a header',
      () => ({ status: 200, body: JSON.stringify({ access_token: 'a\r\nb: c' }) }),
      /without a usable/,
    ],
    ['gives null', () => ({ status: 200, body: 'null' }), /without a usable/],
    ['answers without end', () => ({ status: 200, body: 'x'.repeat(100_000) }), /larger than/],
  ] as const)('that %s is an outage of the destination, charged to no event', async (_, answer, words) => {
    issue = () => answer();
    const { deliver } = sending();
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => deliver()));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ kind: 'unreachable', errorClass: 'token-endpoint' });
      expect(outcome).toHaveProperty('message', expect.stringMatching(words));
      const shown = JSON.stringify(outcome);
      for (const hidden of [secret, encodeURIComponent(secret)]) expect(shown).not.toContain(hidden);
    }
    // Ten messages are not ten requests.
    expect(endpoint.seen).toHaveLength(1);
    expect(receiver.seen).toEqual([]);
  });

  it('that is slow is given up at the deadline, and one that is stopped waits for nobody', async () => {
    issue = () => new Promise(() => undefined);
    const slow = sending({}, { timeoutMs: 300 });
    expect(await slow.deliver()).toMatchObject({ kind: 'unreachable', errorClass: 'token-endpoint' });
    const stopped = sending({}, { timeoutMs: 60_000 });
    const abort = new AbortController();
    const outcome = stopped.send(message(), abort.signal);
    abort.abort();
    expect(await outcome).toEqual({ kind: 'aborted' });
  });

  it('that nobody may reach is not asked', async () => {
    const { deliver } = sending({ tokenUrl: 'http://169.254.169.254/token' });
    expect(await deliver()).toMatchObject({ kind: 'unreachable', errorClass: 'token-endpoint' });
  });

  it('is asked by the destination’s proxy, and trusted by an authority of its own', async () => {
    const ours = authority();
    const secured = await securedReceiver(ours.issue(), (_, count) => token(count));
    const between = await proxy();
    const tls = { ca: 'env:CA', cert: null, key: null, insecure: false };
    const auth = { ...destination('').auth, kind: 'oauth2', tokenUrl: secured.url, tls } as const;
    const given = {
      clientId: 'a',
      clientSecret: 'env:SECRET',
      scope: null,
      audience: null,
      sendAs: 'basic',
    } as const;
    const { deliver } = sender(
      receiver.url,
      { auth: { ...auth, ...given }, proxy: between.url },
      { env: { ...env, CA: ours.cert } },
    );
    expect(await deliver()).toMatchObject({ kind: 'acknowledged' });
    expect(between.connects).toEqual([`localhost:${secured.port}`]);
    expect(between.requests[0]?.headers.authorization).toBe('Bearer token-number-1');
  });

  it('gives probes their token too', async () => {
    const circuit = { ...destination('').circuit, probeUrl: receiver.url };
    const { check } = sending({}, { circuit });
    expect(await check?.(new AbortController().signal)).toMatchObject({ kind: 'acknowledged' });
  });
});
