import { HTTP, type CloudEvent } from 'cloudevents';
import { afterEach, describe, expect, it } from 'vitest';
import type { HttpDestinationConfig } from '../../src/destination/http/config.ts';
import type { OutgoingMessage } from '../../src/core/outcome.ts';
import { percentEncode } from '../../src/destination/http/cloudEvents.ts';
import { structuredBody } from '../../src/destination/shared/cloudEvents.ts';
import { closeSenders, deliverTo, eventId, message } from './support/fixtures.ts';
import { closeReceivers, httpReceiver, type ReceivedRequest } from './support/receivers.ts';

afterEach(async () => {
  await closeSenders();
  await closeReceivers();
});

async function received(
  cloudEvents: HttpDestinationConfig['cloudEvents'],
  outgoing: Partial<OutgoingMessage> = {},
): Promise<ReceivedRequest> {
  const receiver = await httpReceiver();
  await deliverTo(receiver.url, { cloudEvents }, outgoing);
  return receiver.requests[0]!;
}

function decode({ headers, body }: ReceivedRequest): CloudEvent<unknown> {
  return HTTP.toEvent({ headers, body: body.toString() }) as CloudEvent<unknown>;
}

const full = { source: '/shops/7', subject: 'order-9', key: 'customer-3', payload: '{"id": 1}' };

describe.each(['binary', 'structured'] as const)('CloudEvents in %s mode', (mode) => {
  it('are read back by the reference library', async () => {
    const event = decode(await received(mode, full));
    expect(event).toMatchObject({
      specversion: '1.0',
      id: eventId,
      source: '/shops/7',
      type: 'order.created',
      subject: 'order-9',
      partitionkey: 'customer-3',
      time: '2026-01-02T03:04:05.678Z',
      data: { id: 1 },
    });
    expect(event.validate()).toBe(true);
  });

  it('have a source even where the event names none', async () => {
    expect(decode(await received(mode)).source).toBe('/temporal-outbox');
    expect(decode(await received(mode, { source: '' })).source).toBe('/temporal-outbox');
  });

  it('have another id once edited', async () => {
    expect(decode(await received(mode, { revision: 2 })).id).toBe(`${eventId}:r2`);
  });

  it("are not forged by the event's headers", async () => {
    const event = decode(await received(mode, { headers: { 'ce-id': 'forged', 'Ce-Type': 'forged' } }));
    expect(event).toMatchObject({ id: eventId, type: 'order.created' });
  });
});

describe('binary mode', () => {
  it('leaves body and content type to the data', async () => {
    const payload = '{"n": 12345678901234567890}';
    const { headers, body } = await received('binary', { payload, contentType: 'application/vnd.acme+json' });
    expect(body.toString()).toBe(payload);
    expect(headers['content-type']).toBe('application/vnd.acme+json');
  });

  it('percent-encodes what a header cannot carry', async () => {
    const { headers } = await received('binary', { subject: 'Euro € 😀 "100%"' });
    expect(headers['ce-subject']).toBe('Euro%20%E2%82%AC%20%F0%9F%98%80%20%22100%25%22');
  });

  it('passes on extension attributes among the headers', async () => {
    const { headers } = await received('binary', { headers: { 'ce-tenant': '7' } });
    expect(headers['ce-tenant']).toBe('7');
  });

  it('encodes so that decoding gives the value back', () => {
    for (const text of ['plain', 'a b', '100%', '"q"', '\u0000\r\n', 'é€😀', '~!']) {
      expect(decodeURIComponent(percentEncode(text))).toBe(text);
    }
  });
});

describe('structured mode', () => {
  it('embeds the text of the payload untouched', async () => {
    const payload = '{"n": 12345678901234567890123,  "x":1.10, "s":"é\\u0001"}';
    const { headers, body } = await received('structured', { payload });
    expect(headers['content-type']).toBe('application/cloudevents+json; charset=utf-8');
    expect(body.toString().endsWith(`,"data":${payload}}`)).toBe(true);
    expect(JSON.parse(body.toString())).toMatchObject({ datacontenttype: 'application/json' });
  });

  it.each([
    ['application/json', true],
    ['application/json; charset=utf-8', true],
    ['application/vnd.acme+json', true],
    ['text/json', true],
    ['text/plain', false],
    ['application/jsonl', false],
  ])('takes data of type %s as JSON: %s', (contentType, isJson) => {
    const body = JSON.parse(structuredBody(message({ contentType, payload: '{"id": 1}' }))) as {
      data: unknown;
    };
    expect(body.data).toEqual(isJson ? { id: 1 } : '{"id": 1}');
  });

  it('uses its own content type whatever the destination sets', async () => {
    const receiver = await httpReceiver();
    await deliverTo(receiver.url, { cloudEvents: 'structured', headers: { 'content-type': 'text/x' } });
    expect(receiver.requests[0]?.headers['content-type']).toMatch(/^application\/cloudevents\+json/);
  });
});
