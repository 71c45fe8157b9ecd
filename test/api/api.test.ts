/** The HTTP API: what it takes, what it refuses, and how it says so. */
import { request } from 'node:http';
import { connect as connectSocket } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  commitMessage,
  outboxApi,
  prepareMessage,
  readMessage,
  rollbackMessage,
  type OutboxApi,
} from '../../src/index.ts';
import { uuid7 } from '../../src/halfMessages/message.ts';
import { guardFor } from '../../src/http/access.ts';
import { connect } from '../../src/storage/connect.ts';
import { databaseWithProducer } from '../halfMessages/support.ts';
import { atEnd, startReceiver, type TestDatabase } from '../support/index.ts';
import { ask, startApi, token } from './support.ts';

let database: TestDatabase;
let url: string;
let api: OutboxApi;
beforeAll(async () => {
  database = await databaseWithProducer();
  url = await startApi(database);
  api = outboxApi({ url, token });
});

const message = '{"producer": "shop", "type": "order.paid", "payload": {"total": 1}}';
const post = (path: string, body?: string, headers: Record<string, string> = {}) =>
  ask(`${url}${path}`, { method: 'POST', headers, ...(body === undefined ? {} : { body }) });
const prepare = async (): Promise<string> => (await post('/v1/messages', message)).body['id'] as string;

test('a message is prepared, read, committed once and for all', async () => {
  const prepared = await post('/v1/messages', message);
  expect(prepared).toMatchObject({ status: 201, body: { state: 'prepared', inserted: true } });
  const id = prepared.body['id'] as string;
  expect(await ask(`${url}/v1/messages/${id}`)).toMatchObject({
    status: 200,
    body: { state: 'prepared', producer: 'shop' },
  });
  expect(await post(`/v1/messages/${id}/commit`)).toMatchObject({
    status: 200,
    body: { id, state: 'committed', eventId: id, changed: true },
  });
  expect(await post(`/v1/messages/${id}/commit`)).toMatchObject({ status: 200, body: { changed: false } });
  expect(await post(`/v1/messages/${id}/rollback`)).toMatchObject({
    status: 409,
    type: 'application/problem+json; charset=utf-8',
    body: { code: 'OUTBOX_MESSAGE_SETTLED', status: 409, title: 'Conflict' },
  });
  expect(await database.rows('select 1 from outbox.deliveries where event_id = $1', [id])).toHaveLength(1);
});

test('numbers and spaces of a payload reach PostgreSQL as they were written', async () => {
  const payload = '{"a": 12345678901234567890.10, "b": [1e2, "\\"}", {"payload": 0}], "é": "\\u00e9"}';
  const body = `{"payload":0, "type":"t", "producer":"shop" , "payload" : ${payload} }`;
  const { body: prepared } = await post('/v1/messages', body);
  await post(`/v1/messages/${String(prepared['id'])}/commit`, '{}');
  expect(
    await database.rows('select payload::text from outbox.events where id = $1', [prepared['id']]),
  ).toEqual(await database.rows('select $1::jsonb::text as payload', [payload]));
});

test('the functions of the package work the same over HTTP', async () => {
  const given = {
    producer: 'shop',
    type: 'order.paid',
    payloadText: '{"n": 9007199254740993}',
    deliverAt: new Date(Date.now() + 9e6),
  };
  const { id } = await prepareMessage(api, { ...given, key: 'k', headers: { a: 'b' } });
  expect(await readMessage(api, id)).toMatchObject({ id, state: 'prepared' });
  expect(await commitMessage(api, id)).toEqual({ id, state: 'committed', eventId: id, changed: true });
  await expect(rollbackMessage(api, id)).rejects.toMatchObject({ code: 'OUTBOX_MESSAGE_SETTLED' });
  await expect(commitMessage(api, uuid7())).rejects.toMatchObject({ code: 'OUTBOX_NOT_FOUND' });
  await expect(prepareMessage(api, { ...given, producer: 'market' })).rejects.toMatchObject({
    code: 'OUTBOX_PRODUCER_UNKNOWN',
  });
  await expect(prepareMessage(api, { ...given, id, key: 'other' })).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_CONFLICT',
  });
  expect(
    await database.rows(`select key, headers, payload::text, deliver_at from outbox.events where id = $1`, [
      id,
    ]),
  ).toEqual([
    { key: 'k', headers: { a: 'b' }, payload: '{"n": 9007199254740993}', deliver_at: given.deliverAt },
  ]);
});

test('an API that is away, or is none, is an error of its own, and nothing was begun', async () => {
  const away = outboxApi({ url: 'http://127.0.0.1:9', token });
  await expect(prepareMessage(away, { producer: 'shop', type: 't', payload: 1 })).rejects.toMatchObject({
    code: 'OUTBOX_API_UNREACHABLE',
  });
  const other = await startReceiver({ answer: 404 });
  const none = outboxApi({ url: other.url, token });
  await expect(commitMessage(none, uuid7())).rejects.toMatchObject({ code: 'OUTBOX_API_UNREACHABLE' });
  const elsewhere = outboxApi({ url: `${url}/elsewhere`, token });
  await expect(commitMessage(elsewhere, uuid7())).rejects.toMatchObject({
    code: 'OUTBOX_API_REQUEST',
    message: expect.stringContaining('there is nothing at this address') as string,
  });
  await expect(commitMessage(outboxApi({ url }), uuid7())).rejects.toMatchObject({
    code: 'OUTBOX_API_REQUEST',
  });
  expect(() => outboxApi({ url: 'file:///etc/passwd' })).toThrow('http:// or https://');
});

test('an event is written, once for each id', async () => {
  const id = uuid7();
  const body = `{"id": "${id}", "type": "order.created", "payload": [1], "dedupKey": "${id}"}`;
  expect(await post('/v1/events', body)).toMatchObject({ status: 201, body: { id, inserted: true } });
  expect(await post('/v1/events', body)).toMatchObject({ status: 200, body: { id, inserted: false } });
  expect(await post('/v1/events', body.replace('[1]', '[2]'))).toMatchObject({
    status: 409,
    body: { code: 'OUTBOX_EVENT_CONFLICT' },
  });
});

describe('refused, with nothing written:', () => {
  const before = async () => (await database.rows('select 1 from outbox.prepared_messages')).length;
  const withField = (field: string) => message.replace('{', `{${field}, `);
  test.each<[what: string, body: string, status: number, detail: string | RegExp]>([
    ['no body', '', 400, 'JSON object as body'],
    ['not JSON', '{"a":', 400, 'not JSON'],
    ['a list', '[]', 400, 'JSON object'],
    ['null', 'null', 400, 'JSON object'],
    ['no payload', '{"producer":"shop","type":"t"}', 400, 'payload: it is missing'],
    ['an unknown field', withField('"paylod": 1'), 400, 'unknown field "paylod"'],
    ['__proto__', withField('"__proto__": {"type": "x"}'), 400, 'unknown field "__proto__"'],
    ['a dedup key on a half message', withField('"dedupKey": "x"'), 400, 'unknown field "dedupKey"'],
    ['a type that is no text', message.replace('"order.paid"', '7'), 422, 'type: expected a text'],
    ['a producer that is no text', message.replace('"shop"', '{}'), 422, 'producer'],
    ['an unknown producer', message.replace('shop', 'market'), 422, "there is no producer 'market'"],
    ['an id that is no UUIDv7', withField('"id": "1"'), 422, 'UUIDv7'],
    ['a moment without its offset', withField('"deliverAt": "2030-01-01T00:00:00"'), 422, 'deliverAt'],
    ['headers that are no texts', withField('"headers": {"a": 1}'), 422, 'headers.a'],
    ['NUL in the payload', message.replace('"total"', '"\\u0000"'), 422, 'NUL'],
    ['half a character', message.replace('"total"', '"\\ud800"'), 422, 'lone surrogate'],
    ['a payload too large', message.replace('1}', `"${'x'.repeat(1_048_576)}"}`), 422, 'bytes'],
    ['a body too large', message.replace('1}', `"${'x'.repeat(3_000_000)}"}`), 413, /too large/i],
    [
      'a hundred thousand levels',
      message.replace('1}', `${'['.repeat(1e5)}${']'.repeat(1e5)}}`),
      422,
      'nested',
    ],
  ])('%s', async (_, body, status, detail) => {
    const count = await before();
    const answered = await post('/v1/messages', body, { 'content-type': 'application/json' });
    expect(answered.status, answered.text.slice(0, 300)).toBe(status);
    expect(answered.type).toContain('application/problem+json');
    expect(answered.body['code']).toMatch(/^OUTBOX_/);
    expect(answered.body['detail']).toMatch(detail);
    expect(answered.text).not.toMatch(/\n\s+at |postgres:|node_modules/);
    expect(await before()).toBe(count);
  });

  test('bytes that are no UTF-8', async () => {
    const body = Buffer.concat([Buffer.from(message.slice(0, -3)), Buffer.from([0xff]), Buffer.from('}}')]);
    const answered = await ask(`${url}/v1/messages`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect(answered).toMatchObject({ status: 400, body: { detail: 'expected UTF-8' } });
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'nonsense'])(
    'a body of type %s',
    async (type) => expect((await post('/v1/messages', message, { 'content-type': type })).status).toBe(415),
  );

  test.each([
    ['', 401],
    ['Bearer', 401],
    ['Bearer wrong', 401],
    [`Bearer ${token}x`, 401],
    [`Basic ${Buffer.from(`a:${token}`).toString('base64')}`, 401],
    [token, 401],
  ])('the authorization %j', async (authorization, status) => {
    const answered = await post('/v1/messages', message, { authorization });
    expect(answered).toMatchObject({ status, body: { code: 'OUTBOX_API_REQUEST' } });
    expect(answered.text).not.toContain(token);
  });

  test('a page of another origin', async () => {
    expect(
      (await post(`/v1/messages/${await prepare()}/commit`, undefined, { origin: 'https://evil.example' }))
        .status,
    ).toBe(403);
    const preflight = await ask(`${url}/v1/messages`, {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example' },
    });
    expect(preflight.status).toBeGreaterThanOrEqual(400);
  });

  test.each([
    '/v1/messages/nothing/commit',
    '/v1/messages/%00/commit',
    '/v1/messages/..%2f..%2fevents/rollback',
  ])('the id in %s', async (path) => expect((await post(path)).status).toBe(422));

  test.each([
    ['GET', '/v1/nothing'],
    ['GET', '/v1/messages'],
    ['DELETE', '/v1/messages/x'],
    ['GET', '/v1/../etc/passwd'],
    ['GET', '/'],
  ])('%s %s', async (method, path) => {
    const answered = await ask(`${url}${path}`, { method });
    expect(answered.status).toBe(404);
    expect(answered.type).toContain('json');
  });

  test('a body shorter than it says, and headers that never end', async () => {
    const { port } = new URL(url);
    const socket = connectSocket(Number(port), '127.0.0.1');
    atEnd(() => socket.destroy());
    const count = await before();
    socket.write(
      `POST /v1/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n${message}`,
    );
    await new Promise<void>((resolve) => socket.write('', () => resolve()));
    socket.destroy();
    expect(await before()).toBe(count);
    expect((await ask(`${url}/healthz`)).status).toBe(200);
  });
});

test('a database that is away is 503 with Retry-After, says to try again, and names nothing of it', async () => {
  const pool = connect('postgresql://somebody:s3cr3t@127.0.0.1:9/orders');
  atEnd(() => pool.end());
  const away = await startApi({ pool });
  const response = await fetch(`${away}/v1/messages/${uuid7()}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
  const text = await response.text();
  expect(text).not.toMatch(/s3cr3t|somebody|127\.0\.0\.1|orders/);
  expect(text).toContain('Try again');
  expect((await ask(`${away}/healthz`)).status).toBe(503);
});

describe('without a token', () => {
  test('it answers this machine, under this machine’s names only', async () => {
    const open = await startApi(database, { tokens: [] });
    const { port } = new URL(open);
    const statusFor = (host: string) =>
      new Promise<number>((resolve, reject) => {
        const options = { port, path: `/v1/messages/${uuid7()}`, headers: { host } };
        request(options, (answer) => resolve(answer.resume().statusCode ?? 0))
          .on('error', reject)
          .end();
      });
    expect(await statusFor(`127.0.0.1:${port}`)).toBe(404);
    expect(await statusFor(`localhost:${port}`)).toBe(404);
    expect(await statusFor('rebound.example')).toBe(403);
    expect(await statusFor('127.0.0.1.evil.example')).toBe(403);
  });

  test.each(['0.0.0.0', '192.168.1.5', '::', 'outbox.internal'])('it does not listen at %s', (host) => {
    expect(() => guardFor({ listen: { host, port: 8080 }, tokens: [] }, {})).toThrow(
      expect.objectContaining({ code: 'OUTBOX_API_UNPROTECTED' }),
    );
  });
});

test('a token whose variable is not set keeps it from starting', () => {
  expect(() => guardFor({ listen: { host: '0.0.0.0', port: 1 }, tokens: ['env:NOT_SET'] }, {})).toThrow(
    expect.objectContaining({ code: 'OUTBOX_SECRET_MISSING' }),
  );
});

test.each(['short', '', 'x'.repeat(513)])(
  'a token of the environment that is no token (%#) is refused at start',
  (value) => {
    const config = { listen: { host: '127.0.0.1', port: 0 }, tokens: ['env:TOKEN'] };
    expect(() => guardFor(config, { TOKEN: value })).toThrow(
      expect.objectContaining({ code: 'OUTBOX_SECRET_MISSING' }) as Error,
    );
  },
);
