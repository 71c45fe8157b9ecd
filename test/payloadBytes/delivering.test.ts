/** Events of bytes, and texts that are no JSON, as a receiver gets them. */
import { createHmac } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { enqueue, type NewEvent } from '../../src/index.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
  type ReceivedRequest,
  type Receiver,
  type TestDatabase,
} from '../support/index.ts';

const secret = `whsec_${Buffer.alloc(32, 5).toString('base64')}`;
const every = Uint8Array.from({ length: 256 }, (_, value) => value);
let database: TestDatabase;
let receivers: Record<'plain' | 'binary' | 'structured' | 'filtered', Receiver>;

beforeAll(async () => {
  const [plain, binary, structured, filtered] = await Promise.all(
    Array.from({ length: 4 }, () => startReceiver()),
  );
  receivers = { plain, binary, structured, filtered } as typeof receivers;
  database = await createTestDatabase();
  const urlOf = (name: keyof typeof receivers): string => receivers[name].url;
  await applyTestConfig(
    database,
    `
    destinations:
      plain: { type: http, url: '${urlOf('plain')}', signing: { scheme: standard-webhooks, secrets: [env:SECRET] } }
      binary: { type: http, url: '${urlOf('binary')}', cloudEvents: binary }
      structured: { type: http, url: '${urlOf('structured')}', cloudEvents: structured, signing: { scheme: standard-webhooks, secrets: [env:SECRET] } }
      filtered: { type: http, url: '${urlOf('filtered')}' }
    routes:
      - { match: 'all.*', to: [plain, binary, structured] }
      - { match: 'filtered.*', where: '$ ? (@.total >= 0 || 1 == 1)', to: [filtered] }`,
    { SECRET: secret },
  );
  await startRun({ databaseUrl: database.url, env: { SECRET: secret } });
});

async function send(event: object): Promise<string> {
  const written = await enqueue(database.pool, { type: 'all.things', ...event } as NewEvent, {
    ownTransaction: true,
  });
  return written.id;
}

const arrived = (receiver: Receiver, id: string): Promise<ReceivedRequest> =>
  eventually(() => {
    const [request] = receiver.of(id);
    expect(request).toBeDefined();
    return request as ReceivedRequest;
  });

/** The reference library makes a text of the body first, so this is the specification's own words: id, time and body, joined by full stops. */
function assertSigned({ headers, body, id }: ReceivedRequest): void {
  const signed = Buffer.concat([Buffer.from(`${id}.${String(headers['webhook-timestamp'])}.`), body]);
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  expect(headers['webhook-signature']).toBe(
    `v1,${createHmac('sha256', key).update(signed).digest('base64')}`,
  );
}

test.each([
  ['every byte', every],
  ['none', new Uint8Array()],
  ['a mebibyte', new Uint8Array(1024 * 1024).map((_, index) => index % 251)],
])(
  '%s of a payload arrives as it is, signed, and in CloudEvents of both modes',
  async (_what, payloadBytes) => {
    const id = await send({ payloadBytes, contentType: 'application/avro' });
    const plain = await arrived(receivers.plain, id);
    expect(plain.body.equals(payloadBytes)).toBe(true);
    expect(plain.headers['content-type']).toBe('application/avro');
    assertSigned(plain);
    const binary = await arrived(receivers.binary, id);
    expect(binary.body.equals(payloadBytes)).toBe(true);
    expect(binary.headers).toMatchObject({ 'content-type': 'application/avro', 'ce-id': id });
    const structured = await arrived(receivers.structured, id);
    assertSigned(structured);
    const envelope = JSON.parse(structured.body.toString()) as Record<string, unknown>;
    expect(envelope).toMatchObject({ id, datacontenttype: 'application/avro' });
    expect(envelope).not.toHaveProperty('data');
    expect(Buffer.from(String(envelope['data_base64']), 'base64').equals(payloadBytes)).toBe(true);
  },
);

describe('a JSON string', () => {
  const csv = 'id,name\n1,"Zoë \\ Ada"\n';
  test.each([
    'text/csv',
    'text/plain; charset=utf-8',
    'TEXT/HTML',
    'application/xml',
    'application/x-ndjson',
  ])('under %s arrives without its quotes', async (contentType) => {
    const id = await send({ payload: csv, contentType });
    const plain = await arrived(receivers.plain, id);
    expect(plain.body.toString()).toBe(csv);
    expect(plain.headers['content-type']).toBe(contentType);
    assertSigned(plain);
    expect((await arrived(receivers.binary, id)).body.toString()).toBe(csv);
    const structured = await arrived(receivers.structured, id);
    expect(JSON.parse(structured.body.toString())).toMatchObject({ data: csv, datacontenttype: contentType });
  });

  test.each(['application/json', 'application/json; charset=utf-8', 'application/vnd.api+json'])(
    'under %s stays JSON',
    async (contentType) => {
      const id = await send({ payload: csv, contentType });
      expect((await arrived(receivers.plain, id)).body.toString()).toBe(JSON.stringify(csv));
      const structured = await arrived(receivers.structured, id);
      expect(JSON.parse(structured.body.toString())).toMatchObject({ data: csv });
    },
  );

  test.each([
    ['an object', { a: 1 }, '{"a": 1}'],
    ['a list', [1, 'x'], '[1, "x"]'],
    ['a number', 7, '7'],
  ])('is meant: %s under text/plain stays as it is', async (_what, payload, body) => {
    const id = await send({ payload, contentType: 'text/plain' });
    expect((await arrived(receivers.plain, id)).body.toString()).toBe(body);
  });
});

test('no route with a filter takes bytes, whatever it asks, and they are counted as unrouted', async () => {
  const json = await send({ type: 'filtered.json', payload: {} });
  const bytes = await send({ type: 'filtered.bytes', payloadBytes: every, contentType: 'application/avro' });
  await arrived(receivers.filtered, json);
  expect(await database.rows('select event_id from outbox.unrouted')).toEqual([{ event_id: bytes }]);
  expect(receivers.filtered.of(bytes)).toEqual([]);
});

test('bytes that outlive their day are kept, and delivered from where they are kept', async () => {
  const elsewhere = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    elsewhere,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const { id } = await enqueue(
    elsewhere.pool,
    { type: 'a', payloadBytes: every, contentType: 'image/png', headers: { x: 'y' } },
    { ownTransaction: true },
  );
  const day = `events_${new Date().toISOString().slice(0, 10).replaceAll('-', '')}`;
  await elsewhere.pool.query('select outbox.keep_unsettled($1, 10)', [day]);
  await elsewhere.pool.query(`delete from outbox.events where id = $1`, [id]);
  await startRun({ databaseUrl: elsewhere.url });
  const request = await arrived(receiver, id);
  expect(request.body.equals(every)).toBe(true);
  expect(request.headers).toMatchObject({ 'content-type': 'image/png', x: 'y' });
});

test('an erased event keeps no byte', async () => {
  const id = await send({ type: 'nowhere', payloadBytes: every, contentType: 'application/avro' });
  await database.pool.query(`select outbox.erase(array[$1::uuid], 'dpo', 'cli', 'request')`, [id]);
  expect(await database.rows('select payload, payload_bytes from outbox.events where id = $1', [id])).toEqual(
    [{ payload: null, payload_bytes: null }],
  );
  const [{ payload } = { payload: '' }] = await database.rows<{ payload: string }>(
    'select payload::text from outbox.events where id = $1',
    [id],
  );
  expect(payload).toBe('null');
});
