import { afterEach, describe, expect, it } from 'vitest';
import { closeSenders, deliverTo, eventId, sender } from './support/fixtures.ts';
import { closeReceivers, httpReceiver } from './support/receivers.ts';

afterEach(async () => {
  await closeSenders();
  await closeReceivers();
});

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('a request', () => {
  it('carries the payload byte for byte, integers beyond 2^53 and all of Unicode included', async () => {
    const receiver = await httpReceiver();
    const payload = '{"n": 12345678901234567890123, "text": "Zoë 🎉 \\u0000",  "x":1.10}';
    await deliverTo(receiver.url, {}, { payload });
    expect(receiver.requests[0]?.body.toString('utf8')).toBe(payload);
    expect(receiver.requests[0]?.headers['content-length']).toBe(String(Buffer.byteLength(payload)));
  });

  it('is sent when the payload is empty', async () => {
    const receiver = await httpReceiver();
    expect(await deliverTo(receiver.url, {}, { payload: '' })).toMatchObject({
      kind: 'acknowledged',
      status: 204,
    });
    expect(receiver.requests[0]?.headers['content-length']).toBe('0');
  });

  it('carries the headers of the contract', async () => {
    const receiver = await httpReceiver();
    await deliverTo(receiver.url, {}, { attempt: 3 }, { now: () => 1_700_000_000_999 });
    expect(receiver.requests[0]?.method).toBe('POST');
    expect(receiver.requests[0]?.headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'temporal-outbox',
      'webhook-id': eventId,
      'webhook-timestamp': '1700000000',
      'idempotency-key': `"billing/${eventId}"`,
      'outbox-attempt': '3',
      'outbox-event-type': 'order.created',
    });
    expect(receiver.requests[0]?.headers).not.toHaveProperty('webhook-signature');
    expect(receiver.requests[0]?.headers).not.toHaveProperty('outbox-replaces');
  });

  it('of an edited event has a new id and key, and says which it replaces', async () => {
    const receiver = await httpReceiver();
    const to = sender(receiver.url, { idempotencyKey: { quoted: false } });
    await to.deliver({ revision: 2 });
    await to.deliver({ revision: 3 });
    expect(receiver.requests[0]?.headers).toMatchObject({
      'webhook-id': `${eventId}:r2`,
      'idempotency-key': `billing/${eventId}:r2`,
      'outbox-replaces': eventId,
    });
    expect(receiver.requests[1]?.headers['outbox-replaces']).toBe(`${eventId}:r2`);
  });

  it('goes to the path, the query and by the method of the destination', async () => {
    const receiver = await httpReceiver();
    await deliverTo(`${receiver.url}/a%20b?tenant=7`, { method: 'PUT' });
    expect(receiver.requests[0]).toMatchObject({ method: 'PUT', url: '/hooks/a%20b?tenant=7' });
  });

  it('has the address filled in from the environment', async () => {
    const receiver = await httpReceiver();
    const outcome = await deliverTo('${BILLING}/x', {}, {}, { env: { BILLING: receiver.url } });
    expect(outcome.kind).toBe('acknowledged');
    expect(receiver.requests[0]?.url).toBe('/hooks/x');
  });

  it('keeps an event type that no header can carry, percent-encoded', async () => {
    const receiver = await httpReceiver();
    await deliverTo(receiver.url, {}, { type: 'órden 100%\r\nx: y' });
    expect(receiver.requests[0]?.headers['outbox-event-type']).toBe('%C3%B3rden%20100%25%0D%0Ax:%20y');
  });
});

describe("the event's own headers", () => {
  it('are sent as they are', async () => {
    const receiver = await httpReceiver();
    await deliverTo(receiver.url, {}, { headers: { 'X-Tenant': 'a, b; c="d"', 'x-latin': 'Zoë' } });
    expect(receiver.requests[0]?.rawHeaders).toContain('X-Tenant');
    expect(receiver.requests[0]?.headers).toMatchObject({ 'x-tenant': 'a, b; c="d"', 'x-latin': 'Zoë' });
  });

  it('never replace ours, those of the destination or those of the transport', async () => {
    const receiver = await httpReceiver();
    const headers = {
      'Webhook-Id': 'forged',
      'webhook-signature': 'v1,forged',
      'Idempotency-Key': 'forged',
      'outbox-sequence': 'forged',
      'Content-Type': 'text/forged',
      Host: 'forged',
      'Content-Length': '1',
      'transfer-encoding': 'chunked',
      connection: 'close',
      Expect: '100-continue',
      Authorization: 'Bearer forged',
      'x-region': 'forged',
    };
    const changes = { auth: { kind: 'bearer', token: 'real' }, headers: { 'X-Region': 'eu' } } as const;
    const outcome = await deliverTo(receiver.url, changes, { headers });
    expect(outcome.kind).toBe('acknowledged');
    expect(receiver.requests[0]?.rawHeaders.join('\n')).not.toMatch(/forged|chunked|100-continue/);
    expect(receiver.requests[0]?.headers).toMatchObject({
      authorization: 'Bearer real',
      'x-region': 'eu',
      connection: 'keep-alive',
    });
  });

  it.each([
    ['a line break in a value', { 'x-a': 'one\r\nx-b: two' }],
    ['NUL in a value', { 'x-a': 'one\u0000' }],
    ['a character beyond Latin-1', { 'x-a': 'one 🎉' }],
    ['a space in a name', { 'x a': 'one' }],
    ['an empty name', { '': 'one' }],
    ['a value that is no text', { 'x-a': 5 as unknown as string }],
  ])('refuse the message for good: %s', async (_, headers) => {
    const receiver = await httpReceiver();
    const outcome = await deliverTo(receiver.url, {}, { headers });
    expect(outcome).toMatchObject({
      kind: 'refused',
      permanent: true,
      errorClass: 'invalid-header',
      status: null,
    });
    expect(outcome).toHaveProperty('message', expect.stringMatching(/^[ -~]+$/));
    expect(receiver.requests).toHaveLength(0);
  });

  it('refuse a content type with a line break', async () => {
    const receiver = await httpReceiver();
    const outcome = await deliverTo(receiver.url, {}, { contentType: 'text/plain\r\nx: y' });
    expect(outcome).toMatchObject({ kind: 'refused', permanent: true, errorClass: 'invalid-header' });
  });

  it('named __proto__ are a header like any other', async () => {
    const receiver = await httpReceiver();
    const headers = JSON.parse('{"__proto__": "x"}') as Record<string, string>;
    expect((await deliverTo(receiver.url, {}, { headers })).kind).toBe('acknowledged');
    expect(receiver.requests[0]?.rawHeaders).toContain('__proto__');
  });
});

describe('trace context', () => {
  it('is passed on', async () => {
    const receiver = await httpReceiver();
    await deliverTo(receiver.url, {}, { headers: { traceparent, tracestate: 'congo=t61rcWkgMzE,rojo=1' } });
    expect(receiver.requests[0]?.headers).toMatchObject({
      traceparent,
      tracestate: 'congo=t61rcWkgMzE,rojo=1',
    });
  });

  it.each([
    '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01',
    'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more',
    '00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01',
    '01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-\r\nx: y',
    'nonsense',
  ])('is left out when malformed: %j', async (malformed) => {
    const receiver = await httpReceiver();
    const headers = { traceparent: malformed, tracestate: 'a=b' };
    expect((await deliverTo(receiver.url, {}, { headers })).kind).toBe('acknowledged');
    expect(receiver.requests[0]?.headers).not.toHaveProperty('traceparent');
    expect(receiver.requests[0]?.headers).not.toHaveProperty('tracestate');
  });
});

describe("the destination's own headers", () => {
  it('may come from the environment, the credentials too', async () => {
    const receiver = await httpReceiver();
    await deliverTo(
      receiver.url,
      {
        headers: { 'X-Api-Key': 'env:KEY', 'user-agent': 'ours/1' },
        auth: { kind: 'basic', username: 'zoë', password: 'env:PASS' },
      },
      {},
      { env: { KEY: 'k-123', PASS: 'p:w' } },
    );
    expect(receiver.requests[0]?.headers).toMatchObject({
      'x-api-key': 'k-123',
      'user-agent': 'ours/1',
      authorization: `Basic ${Buffer.from('zoë:p:w').toString('base64')}`,
    });
  });

  it('may set another content type than the event', async () => {
    const receiver = await httpReceiver();
    await deliverTo(receiver.url, { headers: { 'Content-Type': 'application/vnd.acme+json' } });
    expect(receiver.requests[0]?.headers['content-type']).toBe('application/vnd.acme+json');
    expect(receiver.requests[0]?.rawHeaders.filter((name) => /^content-type$/i.test(name))).toHaveLength(1);
  });
});
