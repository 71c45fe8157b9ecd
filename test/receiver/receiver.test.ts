import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';
import pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { httpDefaults } from '../../src/destination/http/limits.ts';
import { classifyStatus } from '../../src/destination/http/classify.ts';
import { createReceiver, Refusal, type ReceiverOptions } from '../../src/receiver/index.ts';
import { consumerDatabase, deferred, effect, uuid7, type ConsumerDatabase } from '../inbox/fixtures.ts';
import { atEnd, createTestDatabase, eventually, startTcpProxy } from '../support/index.ts';
import { answerToHead, deliver, post, secret, servers, signed, type Answered } from './stage.ts';

let database: ConsumerDatabase;
const faults: unknown[] = [];
beforeAll(async () => {
  database = await consumerDatabase();
});

/** A receiver whose effect is the message's id. */
function receiverOf(options: Partial<ReceiverOptions> = {}) {
  return createReceiver({
    consumer: 'billing',
    secrets: [secret],
    pool: database.pool,
    handler: (client, message) => effect(client, message.webhookId),
    onError: (error) => void faults.push(error),
    ...options,
  });
}

const serve = (options: Partial<ReceiverOptions> = {}, kind = 'node:http') =>
  servers[kind]!(receiverOf(options));

const countOf = async (id: string): Promise<number> =>
  (await database.effects()).filter((each) => each === id).length;

/** What our sender makes of it. */
const taken = ({ status }: Answered) => classifyStatus(status, httpDefaults.retry.nonRetryableStatusCodes);
const acknowledged = { kind: 'acknowledged' };
const parked = { kind: 'refused', permanent: true };
const charged = { kind: 'refused', permanent: false };
const uncharged = { kind: 'unreachable' };

describe.each(Object.keys(servers))('%s', (kind) => {
  test('has the effect once, and acknowledges every time', async () => {
    const url = await serve({}, kind);
    const id = uuid7();
    const answers = [await deliver(url, id), await deliver(url, id)];
    expect(answers.map(({ status }) => status)).toEqual([204, 204]);
    expect(answers.map(({ headers }) => headers.get('outbox-inbox'))).toEqual(['processed', 'duplicate']);
    expect(answers.map(taken)).toEqual([acknowledged, acknowledged]);
    expect(await countOf(id)).toBe(1);
  });

  test('verifies the bytes as they came, and hands them to the handler', async () => {
    const bodies: unknown[] = [];
    const url = await serve({ handler: (_, message) => bodies.push(message.text(), message.json()) }, kind);
    const body = '{ "n" : 12345678901234567890,\t"text":"Zoë 🎉" }\n';
    expect((await deliver(url, uuid7(), body)).status).toBe(204);
    expect(bodies).toEqual([body, { n: 12345678901234567000, text: 'Zoë 🎉' }]);
    const changed = await post(url, { headers: signed(uuid7(), body), body: body.replace('Zoë', 'Zoe') });
    expect(changed).toMatchObject({
      status: 401,
      text: expect.stringContaining('no signature matches') as string,
    });
    expect(taken(changed)).toEqual(parked);
    expect(bodies).toHaveLength(2);
  });

  test('refuses a body that is too large, declared or not, and stays up', async () => {
    const url = await serve({ maxBodyBytes: 1_000 }, kind);
    const large = `"${'x'.repeat(200_000)}"`;
    const declared = await deliver(url, uuid7(), large);
    expect(declared.status).toBe(413);
    expect(taken(declared)).toEqual(parked);
    const exact = `"${'x'.repeat(998)}"`;
    expect((await deliver(url, uuid7(), exact)).status).toBe(204);
    expect((await deliver(url, uuid7(), `${exact} `)).status).toBe(413);
    // Chunked, so nobody knows how much will come.
    const chunked = await new Promise<string>((resolve, reject) => {
      const { port } = new URL(url);
      const socket = connect(Number(port), '127.0.0.1');
      let answer = '';
      socket.on('data', (bytes) => (answer += bytes.toString())).on('error', reject);
      socket.on('close', () => resolve(answer));
      const id = uuid7();
      const head = Object.entries(signed(id, large)).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(
        `POST /hooks HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n${head.join('')}\r\n`,
      );
      for (let sent = 0; sent < 20; sent++) socket.write(`3e8\r\n${'x'.repeat(1_000)}\r\n`);
      socket.write('0\r\n\r\n');
    });
    expect(chunked).toMatch(/^HTTP\/1\.1 413 /);
    expect((await deliver(url, uuid7())).status).toBe(204);
  });

  test('refuses what is no JSON in UTF-8, by its content type', async () => {
    const url = await serve({}, kind);
    for (const type of [
      'text/plain',
      'application/xml',
      'application/json; charset=latin1',
      'application/jsonx',
      '',
    ]) {
      const answer = await deliver(url, uuid7(), '{}', { 'content-type': type });
      expect([type, answer.status]).toEqual([type, 415]);
      expect(taken(answer)).toEqual(parked);
    }
    const zipped = await deliver(url, uuid7(), '{}', { 'content-encoding': 'gzip' });
    expect(zipped.status).toBe(415);
    for (const type of ['application/json;charset=UTF-8', 'application/cloudevents+json; charset=utf-8'])
      expect((await deliver(url, uuid7(), '{}', { 'content-type': type })).status).toBe(204);
  });

  test('takes the content types it is told to take, and no other', async () => {
    const bodies: Buffer[] = [];
    const handler = (_client: unknown, { body }: { body: Uint8Array }): void =>
      void bodies.push(Buffer.from(body));
    const url = await serve({ contentTypes: ['application/AVRO', 'text/*'], handler }, kind);
    const every = Buffer.from(Uint8Array.from({ length: 256 }, (_, value) => value));
    for (const type of ['application/avro', 'Text/CSV; charset=latin1'])
      expect((await deliver(url, uuid7(), every, { 'content-type': type })).status).toBe(204);
    expect(bodies).toEqual([every, every]);
    // Of what is no media type at all servers have their own word.
    for (const type of ['application/json', 'application/avro2', '', 'text']) {
      const { status, text } = await deliver(url, uuid7(), '{}', { 'content-type': type });
      expect(status).toBe(415);
      if (type.includes('/')) expect(text).toBe('expected application/avro or text/*\n');
    }
    const anything = await serve({ contentTypes: ['*/*'] }, kind);
    for (const type of ['image/png', 'application/json'])
      expect((await deliver(anything, uuid7(), every, { 'content-type': type })).status).toBe(204);
  });

  test('refuses a request without a signature, body or not', async () => {
    const url = await serve({}, kind);
    expect(await post(url, { headers: { 'content-type': 'application/json' }, body: '{}' })).toMatchObject({
      status: 401,
      text: 'the request is refused: webhook-id is missing\n',
    });
    expect((await post(url, { headers: { 'content-type': 'application/json' } })).status).toBe(401);
    expect([404, 405]).toContain((await post(url, { method: 'GET' })).status);
    expect([404, 405]).toContain((await post(url, { method: 'DELETE' })).status);
  });
});

// express.raw() has read it before we are asked.
describe.each(Object.keys(servers).filter((kind) => !kind.includes('express.raw')))('%s', (kind) => {
  test('answers a stranger, and what is too long, before a byte of the body', async () => {
    const url = await serve({}, kind);
    const good = { ...signed(uuid7(), '{}'), 'content-length': '1000000' };
    for (const [wrong, status] of [
      [{ 'webhook-id': undefined }, 401],
      [{ 'webhook-signature': undefined }, 401],
      [{ 'webhook-signature': 'v1,short v1a,other' }, 401],
      [{ 'webhook-timestamp': '1' }, 401],
      [{ 'webhook-timestamp': 'now' }, 401],
      [{ 'content-type': 'text/plain' }, 415],
      [{ 'content-length': '3000000' }, 413],
      [{ 'content-length': '-1' }, 400],
      [{ 'content-length': undefined, 'transfer-encoding': 'chunked', 'webhook-id': undefined }, 401],
    ] as const)
      expect([wrong, await answerToHead(url, { ...good, ...wrong })]).toEqual([
        wrong,
        expect.stringMatching(new RegExp(`^HTTP/1.1 ${status} `)),
      ]);
    expect((await deliver(url, uuid7())).status).toBe(204);
  });
});

test('Fastify keeps its parsers outside of the plugin', async () => {
  const url = await serve({}, 'Fastify');
  const echoed = await post(url.replace('/hooks', '/echo'), {
    headers: { 'content-type': 'application/json' },
    body: '{"a":1}',
  });
  expect(echoed.text).toBe('{"a":1}');
});

test('behind a body parser it says so, here and not to the sender', async () => {
  const app = express();
  app.use(express.json());
  app.post('/hooks', receiverOf().listener);
  const server = app.listen(0, '127.0.0.1');
  atEnd(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const answer = await deliver(
    `http://127.0.0.1:${(server.address() as { port: number }).port}/hooks`,
    uuid7(),
  );
  expect(answer).toMatchObject({ status: 500, text: 'the receiver is set up wrongly\n' });
  expect(faults.pop()).toMatchObject({ code: 'OUTBOX_RECEIVER_BODY' });
});

test('the handler is told what arrived', async () => {
  let told: unknown;
  const url = await serve({
    handler: (_, message) => {
      const { webhookId, messageId, revision, type, attempt, replaces } = message;
      told = { webhookId, messageId, revision, type, attempt, replaces, own: message.header('x-own') };
    },
  });
  const id = uuid7();
  await deliver(url, `${id}:r3`, '{}', {
    'outbox-event-type': 'order%20paid',
    'outbox-attempt': '4',
    'x-own': 'yes',
  });
  expect(told).toEqual({
    webhookId: `${id}:r3`,
    messageId: id,
    revision: 3,
    type: 'order paid',
    attempt: 4,
    replaces: null,
    own: 'yes',
  });
});

describe('a handler that says no', () => {
  test('is rolled back, and the sender gets its status, words and Retry-After', async () => {
    let failing = true;
    const url = await serve({
      handler: async (client, message) => {
        await effect(client, message.webhookId);
        if (failing) throw new Refusal(429, 'the till is closed', { retryAfterSeconds: 7 });
      },
    });
    const id = uuid7();
    const refused = await deliver(url, id);
    expect(refused).toMatchObject({ status: 429, text: 'the till is closed\n' });
    expect(refused.headers.get('retry-after')).toBe('7');
    expect(taken(refused)).toEqual(uncharged);
    expect(await countOf(id)).toBe(0);
    failing = false;
    expect((await deliver(url, id)).headers.get('outbox-inbox')).toBe('processed');
    expect(await countOf(id)).toBe(1);
  });

  test('by json() of what is none is 422', async () => {
    const url = await serve({ handler: (_, message) => void message.json() });
    expect(await deliver(url, uuid7(), '{total: 1}')).toMatchObject({
      status: 422,
      text: 'the body is not JSON\n',
    });
  });

  test('by any other error is 500, charged, without a word of it to the sender', async () => {
    const url = await serve({
      handler: () => {
        throw new Error('password is s3cr3t');
      },
    });
    const answer = await deliver(url, uuid7());
    expect(answer).toMatchObject({ status: 500, text: 'the handler failed\n' });
    expect(taken(answer)).toEqual(charged);
    expect(faults.pop()).toMatchObject({ message: 'password is s3cr3t' });
  });

  test('by a swallowed error of PostgreSQL is not acknowledged', async () => {
    const url = await serve({
      handler: async (client, message) => {
        await effect(client, message.webhookId);
        await client.query('select 1 / 0').catch(() => undefined);
      },
    });
    const id = uuid7();
    expect((await deliver(url, id)).status).toBe(500);
    expect(faults.pop()).toMatchObject({ code: 'OUTBOX_INBOX_NO_TRANSACTION' });
    expect(await countOf(id)).toBe(0);
  });

  test('by ending the transaction is not acknowledged', async () => {
    for (const command of ['rollback', 'commit']) {
      const url = await serve({ handler: (client) => client.query(command) });
      expect((await deliver(url, uuid7())).status).toBe(500);
      expect(faults.pop()).toMatchObject({ code: 'OUTBOX_INBOX_NO_TRANSACTION' });
    }
  });

  test.each([200, 399, 600, 4.5, Number.NaN])('cannot answer %s', (status) => {
    expect(() => new Refusal(status, 'x')).toThrow('expected 400 to 599');
  });
});

test('the same id with another payload is 422, an edited one whose original was applied too', async () => {
  const url = await serve();
  const id = uuid7();
  await deliver(url, id, '{"total": 1}');
  const other = await deliver(url, id, '{"total": 2}');
  expect(other).toMatchObject({
    status: 422,
    text: expect.stringContaining('with another payload') as string,
  });
  const edited = await deliver(url, `${id}:r2`, '{"total": 2}');
  expect(edited).toMatchObject({
    status: 422,
    text: expect.stringContaining('revision 1 was applied') as string,
  });
  expect([other, edited].map(taken)).toEqual([parked, parked]);
  expect(await countOf(id)).toBe(1);
});

test('with onRevision apply, the handler makes up the difference, and the late original is acknowledged', async () => {
  const seen: unknown[] = [];
  const url = await serve({
    onRevision: 'apply',
    handler: (_, { revision, replaces }) => void seen.push([revision, replaces?.revision ?? null]),
  });
  const id = uuid7();
  await deliver(url, id);
  expect((await deliver(url, `${id}:r2`, '{"total": 2}')).headers.get('outbox-inbox')).toBe('processed');
  expect((await deliver(url, id)).headers.get('outbox-inbox')).toBe('superseded');
  expect(seen).toEqual([
    [1, null],
    [2, 1],
  ]);
});

test('while the first is at work the second is told 409, to be tried again', async () => {
  const go = deferred<void>();
  let calls = 0;
  const url = await serve({
    wait: 50,
    handler: async (client, message) => {
      calls++;
      await effect(client, message.webhookId);
      await go.promise;
    },
  });
  const id = uuid7();
  const first = deliver(url, id);
  await eventually(() => expect(calls).toBe(1));
  const second = await deliver(url, id);
  expect(second.status).toBe(409);
  expect(second.headers.get('retry-after')).toBe('1');
  expect(taken(second)).toEqual(charged);
  go.resolve();
  expect((await first).status).toBe(204);
  expect((await deliver(url, id)).headers.get('outbox-inbox')).toBe('duplicate');
  expect([calls, await countOf(id)]).toEqual([1, 1]);
});

test('more than it takes at once is 429, which costs nothing', async () => {
  const go = deferred<void>();
  let calls = 0;
  const url = await serve({ maxInFlight: 2, handler: () => (calls++, go.promise) });
  const held = [deliver(url, uuid7()), deliver(url, uuid7())];
  await eventually(() => expect(calls).toBe(2));
  const third = await deliver(url, uuid7());
  expect(third.status).toBe(429);
  expect(taken(third)).toEqual(uncharged);
  go.resolve();
  expect((await Promise.all(held)).map(({ status }) => status)).toEqual([204, 204]);
});

test('an id the inbox no longer remembers is 422 and stops no sender, as is one of the future', async () => {
  const url = await serve();
  const old = await deliver(url, uuid7(Date.UTC(2021, 0)));
  expect(old).toMatchObject({
    status: 422,
    text: expect.stringContaining('older than what the inbox') as string,
  });
  const future = await deliver(url, uuid7(Date.UTC(2090, 0)));
  expect(future.status).toBe(422);
  expect([old, future].map(taken)).toEqual([parked, parked]);
});

test('a serialization failure or deadlock is repeated by the receiver itself', async () => {
  let calls = 0;
  const url = await serve({
    isolation: 'serializable',
    handler: async (client, message) => {
      await effect(client, message.webhookId);
      if (++calls < 3)
        throw Object.assign(new Error('could not serialize'), { code: calls === 1 ? '40001' : '40P01' });
    },
  });
  const id = uuid7();
  expect((await deliver(url, id)).status).toBe(204);
  expect([calls, await countOf(id)]).toEqual([3, 1]);
  const never = await serve({
    handler: () => {
      throw Object.assign(new Error('could not serialize'), { code: '40001' });
    },
  });
  const given = await deliver(never, uuid7());
  expect(given.status).toBe(503);
  faults.pop();
});

describe('when the database is away it is 503 with Retry-After, charged to nobody', () => {
  const uncharging = (answer: Answered) => {
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(taken(answer)).toEqual(uncharged);
    expect(answer.text).not.toMatch(/127\.0\.0\.1|ECONN|postgres/i);
    expect(faults.pop()).toBeInstanceOf(Error);
  };

  /** A database behind a wire that can be cut. */
  async function wired() {
    const { host } = new URL(database.url);
    const proxy = await startTcpProxy(host);
    const url = new URL(database.url);
    url.host = proxy.address;
    const pool = new pg.Pool({ connectionString: url.href, connectionTimeoutMillis: 1_000 });
    pool.on('error', () => undefined);
    atEnd(() => pool.end());
    return { proxy, pool };
  }

  test('nobody listens', async () => {
    const { proxy, pool } = await wired();
    const url = await serve({ pool });
    const id = uuid7();
    await proxy.become('refuse');
    uncharging(await deliver(url, id));
    await proxy.become('pass');
    expect((await deliver(url, id)).status).toBe(204);
  });

  test('it takes connections and says nothing', async () => {
    const { proxy, pool } = await wired();
    const url = await serve({ pool });
    await proxy.become('blackhole');
    uncharging(await deliver(url, uuid7()));
  });

  test('the connection breaks while the handler does something else, and the process lives on', async () => {
    const { proxy, pool } = await wired();
    const id = uuid7();
    let cut = true;
    const url = await serve({
      pool,
      handler: async (client, message) => {
        await effect(client, message.webhookId);
        if (cut) proxy.cut();
        await sleep(50);
      },
    });
    uncharging(await deliver(url, id));
    expect(await countOf(id)).toBe(0);
    cut = false;
    expect((await deliver(url, id)).headers.get('outbox-inbox')).toBe('processed');
  });

  test('the answer to the commit is lost: the next attempt finds the effect', async () => {
    const { proxy, pool } = await wired();
    const id = uuid7();
    let drop = true;
    const url = await serve({
      pool,
      handler: async (client, message) => {
        await effect(client, message.webhookId);
        if (drop) {
          await proxy.become('drop-reply');
          void eventually(async () => expect(await countOf(id)).toBe(1)).then(() => proxy.become('pass'));
        }
      },
    });
    uncharging(await deliver(url, id));
    drop = false;
    expect((await deliver(url, id)).headers.get('outbox-inbox')).toBe('duplicate');
    expect(await countOf(id)).toBe(1);
  });

  test('an idle connection breaks, and the process lives on though nobody listens to the pool', async () => {
    const pool = new pg.Pool({ connectionString: database.url, max: 1, application_name: 'idle one' });
    atEnd(() => pool.end());
    const url = await serve({ pool });
    await deliver(url, uuid7());
    await database.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'idle one'`,
    );
    await eventually(() =>
      expect(faults.at(-1)).toMatchObject({ message: expect.stringMatching(/terminat/) as string }),
    );
    faults.pop();
    expect((await deliver(url, uuid7())).status).toBe(204);
  });

  test('there is no inbox in it', async () => {
    const { pool } = await createTestDatabase({ migrated: false });
    uncharging(await deliver(await serve({ pool }), uuid7()));
  });
});

test('an onError that throws costs neither the answer nor the process', async () => {
  const url = await serve({
    handler: () => Promise.reject(new Error('the first')),
    onError: () => {
      throw new Error('the second');
    },
  });
  expect((await deliver(url, uuid7())).status).toBe(500);
});

test('a sender that breaks off in the middle of a body is no fault', async () => {
  const before = faults.length;
  const url = await serve();
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write('POST /hooks HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"a":');
  await sleep(100);
  socket.destroy();
  await sleep(100);
  expect((await deliver(url, uuid7())).status).toBe(204);
  expect(faults).toHaveLength(before);
});

test.each([
  ['no consumer', { consumer: '' }, 'OUTBOX_INBOX_INVALID'],
  ['no secret', { secrets: [] }, 'OUTBOX_SECRET_MISSING'],
  ['a malformed secret', { secrets: ['whsec_'] }, 'OUTBOX_SECRET_MISSING'],
  ['no content types', { contentTypes: [] }, 'OUTBOX_INBOX_INVALID'],
  ['a content type that is none', { contentTypes: ['json'] }, 'OUTBOX_INBOX_INVALID'],
  ['a body of 0 bytes', { maxBodyBytes: 0 }, 'OUTBOX_INBOX_INVALID'],
  ['nothing in flight', { maxInFlight: -1 }, 'OUTBOX_INBOX_INVALID'],
  ['a tolerance of 0', { toleranceSeconds: 0 }, 'OUTBOX_INBOX_INVALID'],
  ['a wait of -1', { wait: -1 }, 'OUTBOX_INBOX_INVALID'],
  ['a policy that does not exist', { onRevision: 'aply' as never }, 'OUTBOX_INBOX_INVALID'],
  [
    'an isolation that does not exist',
    { isolation: 'none; drop table effects' as never },
    'OUTBOX_INBOX_INVALID',
  ],
])('%s is refused when the receiver is made', (_, wrong, code) => {
  expect(() => receiverOf(wrong)).toThrow(expect.objectContaining({ code }) as Error);
});
