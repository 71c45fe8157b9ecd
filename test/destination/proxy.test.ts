import { afterEach, describe, expect, it } from 'vitest';
import { authority } from '../support/certificate.ts';
import { closeSenders, deliverTo, sender } from './support/fixtures.ts';
import { closeReceivers, saying } from './support/receivers.ts';
import { closeSecured, proxy, securedReceiver } from './support/secured.ts';

afterEach(async () => {
  await closeSenders();
  await closeSecured();
  await closeReceivers();
});

const ours = authority();
const env = { CA: ours.cert };
const tls = { ca: 'env:CA', cert: null, key: null, insecure: false };
const login = 'user:s3cret-of-proxy';

describe('a proxy of a destination', () => {
  it('is asked to lead to an https receiver, which it cannot read', async () => {
    const receiver = await securedReceiver(ours.issue());
    const between = await proxy({ login });
    const address = between.url.replace('//', `//${login}@`);
    const sending = sender(receiver.url, { proxy: 'env:EGRESS', tls }, { env: { ...env, EGRESS: address } });
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => sending.deliver()));
    expect(outcomes.every(({ kind }) => kind === 'acknowledged')).toBe(true);
    expect(new Set(between.connects)).toEqual(new Set([`localhost:${receiver.port}`]));
    expect(receiver.seen).toHaveLength(20);
    expect(receiver.seen[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  it('leads to names that only it knows', async () => {
    const receiver = await securedReceiver(ours.issue());
    const between = await proxy();
    const url = `https://billing.invalid:${receiver.port}/hooks`;
    const outcome = await deliverTo(
      url,
      { proxy: between.url, tls: { ...tls, insecure: true } },
      {},
      { env },
    );
    expect(outcome).toMatchObject({ kind: 'acknowledged' });
    expect(between.connects).toEqual([`billing.invalid:${receiver.port}`]);
  });

  it('gets requests to an http receiver itself, with the whole address', async () => {
    const between = await proxy({ login });
    const address = between.url.replace('//', `//${login}@`);
    const sending = sender('http://billing.invalid/hooks?a=1', { proxy: address });
    expect(await sending.deliver()).toMatchObject({ kind: 'acknowledged' });
    expect(between.requests[0]).toMatchObject({
      url: 'http://billing.invalid/hooks?a=1',
      headers: { host: 'billing.invalid' },
    });
  });

  it('may itself be reached by TLS', async () => {
    const receiver = await securedReceiver(ours.issue());
    const between = await proxy({ tls: ours.issue() });
    const outcome = await deliverTo(receiver.url, { proxy: between.url, tls }, {}, { env });
    // The authority of the destination vouches for nobody but the destination.
    expect(outcome).toMatchObject({ kind: 'unreachable', errorClass: 'tls-certificate' });
    expect(outcome).toHaveProperty('message', expect.stringContaining(`proxy ${between.url}: `));
  });

  it('that refuses is an outage of the destination, charged to no event, and no message shows its password', async () => {
    const wrong = 'http://user:wr0ng-pass@';
    const refusing = await proxy({ login });
    const closed = await proxy({ refuse: 503 });
    for (const [url, address, said] of [
      ['https://billing.invalid/', refusing.url, 'answered CONNECT billing.invalid:443 with 407'],
      ['https://billing.invalid/', closed.url, 'answered CONNECT billing.invalid:443 with 503'],
      ['http://billing.invalid/', refusing.url, 'answered 407'],
    ] as const) {
      const outcome = await deliverTo(url, { proxy: address.replace('http://', wrong) });
      expect(outcome).toMatchObject({ kind: 'unreachable' });
      expect(outcome).toHaveProperty('message', expect.stringContaining(said));
      expect(JSON.stringify(outcome)).not.toContain('wr0ng-pass');
    }
  });

  it('that is not there is unreachable, and named', async () => {
    const outcome = await deliverTo('https://billing.invalid/', { proxy: 'http://localhost:1' });
    expect(outcome).toMatchObject({ kind: 'unreachable', errorClass: 'connection-refused' });
    expect(outcome).toHaveProperty('message', expect.stringContaining('proxy http://localhost:1: '));
  });

  it.each([
    ['no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n', /with no HTTP/],
    ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}`, /answered no HTTP/],
    ['bytes of its own', 'HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n', /bytes of its own/],
    ['a redirect', 'HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\r\n', /with 302 Found/],
  ])('that says %s acknowledges nothing', async (_, bytes, words) => {
    const { port } = await saying(bytes, 'end');
    const outcome = await deliverTo('https://billing.invalid/', { proxy: `http://localhost:${port}` });
    expect(outcome).toMatchObject({ kind: 'unreachable', errorClass: 'proxy-failure' });
    expect(outcome).toHaveProperty('message', expect.stringMatching(words));
  });

  it('that says nothing is given up at the deadline', async () => {
    const { port } = await saying('');
    const outcome = await deliverTo('https://billing.invalid/', {
      proxy: `http://localhost:${port}`,
      timeoutMs: 300,
    });
    expect(outcome).toMatchObject({ kind: 'unreachable', errorClass: 'timeout' });
  });

  it('opens no way to what no destination may reach, nor stands there itself', async () => {
    const between = await proxy();
    const blocked = { kind: 'refused', errorClass: 'blocked-address' };
    for (const url of [
      'https://169.254.169.254/',
      'http://169.254.169.254/',
      'https://metadata.google.internal/',
    ])
      expect(await deliverTo(url, { proxy: between.url })).toMatchObject(blocked);
    const network = { allowPrivate: false };
    expect(await deliverTo('https://10.0.0.1/', { proxy: between.url, network })).toMatchObject(blocked);
    expect(between.connects).toEqual([]);
    expect(between.requests).toEqual([]);
    const outcome = await deliverTo('https://billing.invalid/', { proxy: 'http://169.254.169.254' });
    expect(outcome).toMatchObject({ kind: 'refused', errorClass: 'bad-configuration' });
  });
});
