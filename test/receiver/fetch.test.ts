/** `receiver.fetch`: Request in, Response out, on whatever framework. */
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import express from 'express';
import { beforeAll, expect, test } from 'vitest';
import { pingPayload } from '../../src/core/ping.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import { createReceiver, Refusal, type Receiver } from '../../src/receiver/index.ts';
import { atEnd, createTestDatabase, type TestDatabase } from '../support/index.ts';

const key = Buffer.alloc(32, 7);
let database: TestDatabase;
let receiver: Receiver;
const errors: unknown[] = [];

beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
  await migrateInbox(database.pool);
  await database.pool.query('create table done (id text)');
  receiver = createReceiver({
    consumer: 'c',
    secrets: [`whsec_${key.toString('base64')}`],
    pool: database.pool,
    maxBodyBytes: 1000,
    handler: async (client, message) => {
      if (message.text() === '{"no":1}') throw new Refusal(422, 'no');
      await client.query('insert into done values ($1)', [message.messageId]);
    },
    onError: (error) => errors.push(error),
  });
});

function headersOf(id: string, body: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  };
}

const requestOf = (id: string, body: string): Request =>
  new Request('http://a.example/hooks', { method: 'POST', headers: headersOf(id, body), body });

test('the work is done once, and 204 has no body', async () => {
  const first = await receiver.fetch(requestOf('m-1', '{}'));
  const second = await receiver.fetch(requestOf('m-1', '{}'));
  expect([first.status, first.body, first.headers.get('outbox-inbox')]).toEqual([204, null, 'processed']);
  expect([second.status, second.headers.get('outbox-inbox')]).toEqual([204, 'duplicate']);
  expect(await database.rows(`select 1 from done where id = 'm-1'`)).toHaveLength(1);
});

test('answer has a body of null with 204, so that it makes a Response as it is', async () => {
  const body = Buffer.from('{}');
  const answer = await receiver.answer({ method: 'POST', headers: headersOf('m-2', '{}'), body });
  expect(answer.body).toBeNull();
  expect(new Response(answer.body, answer).status).toBe(204);
});

test('a ping of `destinations test` is verified, and concerns no handler; what only says in a header that it is one does', async () => {
  const ping = (id: string, body: string): Request => {
    const request = requestOf(id, body);
    request.headers.set('outbox-event-type', 'outbox.ping');
    return request;
  };
  const first = await receiver.fetch(ping('m-ping', pingPayload('billing')));
  expect([first.status, first.headers.get('outbox-inbox')]).toEqual([204, 'ping']);
  const other = await receiver.fetch(ping('m-no-ping', '{"order":1}'));
  expect(other.headers.get('outbox-inbox')).toBe('processed');
  const forged = ping('m-ping', pingPayload('billing'));
  forged.headers.set('webhook-signature', 'v1,AAAA');
  expect((await receiver.fetch(forged)).status).toBe(401);
  expect(await database.rows(`select id from done where id like '%ping'`)).toEqual([{ id: 'm-no-ping' }]);
});

test('refusals, forged requests, other methods and missing bodies are answered as elsewhere', async () => {
  expect((await receiver.fetch(requestOf('m-3', '{"no":1}'))).status).toBe(422);
  const forged = new Request('http://a.example', {
    method: 'POST',
    headers: headersOf('m-4', '{}'),
    body: '{"x":1}',
  });
  expect((await receiver.fetch(forged)).status).toBe(401);
  const got = await receiver.fetch(new Request('http://a.example'));
  expect([got.status, got.headers.get('allow')]).toEqual([405, 'POST, PUT, PATCH']);
  const bare = new Request('http://a.example', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  expect((await receiver.fetch(bare)).status).toBe(401);
});

test('a body that is too long is 413, said or not how long it is', async () => {
  const long = 'x'.repeat(5000);
  expect((await receiver.fetch(requestOf('m-5', long))).status).toBe(413);
  const chunks = Readable.toWeb(
    Readable.from(Array.from({ length: 50 }, () => Buffer.from('x'.repeat(100)))),
  );
  const streamed = new Request('http://a.example', {
    ...{ method: 'POST', headers: headersOf('m-6', long), duplex: 'half' },
    body: chunks as ReadableStream,
  });
  expect((await receiver.fetch(streamed)).status).toBe(413);
});

test('a stranger is refused before a byte of his body is read', async () => {
  let asked = 0;
  const body = new ReadableStream({ pull: () => void asked++ }, { highWaterMark: 0 });
  const { 'webhook-signature': _left, ...headers } = headersOf('m-8', '{}');
  const init = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
  expect((await receiver.fetch(new Request('http://a.example', init))).status).toBe(401);
  expect(asked).toBe(0);
});

test('a body that something else has read says what to do', async () => {
  const request = requestOf('m-7', '{}');
  await request.json();
  const answered = await receiver.fetch(request);
  expect(answered.status).toBe(500);
  expect(errors.at(-1)).toMatchObject({
    code: 'OUTBOX_RECEIVER_BODY',
    hint: expect.stringMatching(/^Mount the receiver before express\.json\(\)/) as string,
  });
});

test('behind express.json() it says so, behind express.raw(), express.text() and a kept rawBody it works', async () => {
  const app = express();
  app.post('/json', express.json(), receiver.listener);
  app.post('/raw', express.raw({ type: '*/*' }), receiver.listener);
  app.post('/text', express.text({ type: '*/*' }), receiver.listener);
  const keep = express.json({
    verify: (request, _response, raw) => void Object.assign(request, { rawBody: raw }),
  });
  app.post('/kept', keep, receiver.listener);
  const server = createServer(app).listen(0, '127.0.0.1');
  atEnd(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const post = (path: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: headersOf(`m${path}`, '{"ü":1}'),
      body: '{"ü":1}',
    });
  errors.length = 0;
  expect((await post('/json')).status).toBe(500);
  expect(errors).toMatchObject([{ code: 'OUTBOX_RECEIVER_BODY' }]);
  for (const path of ['/raw', '/text', '/kept']) expect((await post(path)).status, path).toBe(204);
});
