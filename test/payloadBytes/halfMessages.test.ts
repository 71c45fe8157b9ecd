/** Half messages of bytes, over SQL and over HTTP. */
import { beforeAll, expect, test } from 'vitest';
import {
  commitMessage,
  outboxApi,
  prepareMessage,
  rollbackMessage,
  withMessage,
  type HalfMessage,
  type Markers,
  type MessageClient,
} from '../../src/index.ts';
import { uuid7 } from '../../src/halfMessages/message.ts';
import { ask, startApi, token } from '../api/support.ts';
import { databaseWithProducer } from '../halfMessages/support.ts';
import { runCli, type TestDatabase } from '../support/index.ts';

const every = Buffer.from(Uint8Array.from({ length: 256 }, (_, value) => value));
const contentType = 'application/x-protobuf';
let database: TestDatabase;
let url: string;
let clients: Record<string, MessageClient>;
beforeAll(async () => {
  database = await databaseWithProducer();
  url = await startApi(database);
  clients = { SQL: database.pool, HTTP: outboxApi({ url, token }) };
});

const message = (more: object = {}): HalfMessage => ({
  producer: 'shop',
  type: 'order.paid',
  payloadBytes: every,
  contentType,
  ...more,
});
const bytesOf = async (id: string) =>
  (
    await database.rows<object>(
      'select payload, payload_bytes, content_type from outbox.events where id = $1',
      [id],
    )
  )[0];
const whole = { payload: null, payload_bytes: every, content_type: contentType };

test.each(['SQL', 'HTTP'])('over %s its bytes become the event, and the message keeps none', async (how) => {
  const client = clients[how] as MessageClient;
  const { id, inserted } = await prepareMessage(client, message());
  expect(inserted).toBe(true);
  const shown = await runCli(['messages', 'show', id], { databaseUrl: database.url });
  expect(shown.stdout).toContain('256 bytes, application/x-protobuf\n00000000  00 01 02');
  expect(await commitMessage(client, id)).toMatchObject({ state: 'committed', changed: true });
  expect(await bytesOf(id)).toEqual(whole);
  expect(
    await database.rows('select payload, payload_bytes from outbox.prepared_messages where id = $1', [id]),
  ).toEqual([{ payload: null, payload_bytes: null }]);
});

test.each(['SQL', 'HTTP'])(
  'over %s a repeat is known by its bytes, before and after it was settled',
  async (how) => {
    const client = clients[how] as MessageClient;
    const id = uuid7();
    const conflict = { code: 'OUTBOX_EVENT_CONFLICT' };
    const repeats = async (): Promise<void> => {
      expect(await prepareMessage(client, message({ id }))).toMatchObject({ inserted: false });
      await expect(
        prepareMessage(client, message({ id, payloadBytes: every.subarray(1) })),
      ).rejects.toMatchObject(conflict);
      const { payloadBytes: _, ...rest } = message({ id });
      await expect(
        prepareMessage(client, { ...rest, payload: every.toString('base64') } as HalfMessage),
      ).rejects.toMatchObject(conflict);
    };
    await prepareMessage(client, message({ id }));
    await repeats();
    await rollbackMessage(client, id);
    await repeats();
  },
);

test('many at once, of bytes and of JSON, share their statements and keep their contents', async () => {
  const some = Array.from({ length: 40 }, (_, n) =>
    n % 3 === 0
      ? message({ payloadBytes: Buffer.from([n, 255]), id: uuid7() })
      : { producer: 'shop', type: 'order.paid', payload: { n }, id: uuid7() },
  );
  const prepared = await Promise.all(some.map((each) => prepareMessage(database.pool, each)));
  await Promise.all(prepared.map(({ id }) => commitMessage(database.pool, id)));
  for (const [n, { id }] of prepared.entries())
    expect(await bytesOf(id)).toEqual(
      n % 3 === 0
        ? { ...whole, payload_bytes: Buffer.from([n, 255]) }
        : { payload: { n }, payload_bytes: null, content_type: 'application/json' },
    );
});

test('withMessage takes bytes, too', async () => {
  const markers: Pick<Markers<null>, 'transaction'> = {
    transaction: async (_id, work) => ({ end: 'committed', value: await work(null) }),
  };
  const { id } = await withMessage({ outbox: database.pool, db: markers as Markers<null> }, message(), () =>
    Promise.resolve(),
  );
  expect(await bytesOf(id)).toEqual(whole);
});

const post = (path: string, body: object) =>
  ask(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
const fields = { '/v1/messages': { producer: 'shop', type: 't' }, '/v1/events': { type: 't' } };

test.each(Object.entries(fields))('POST %s takes base64 in place of a payload', async (path, given) => {
  for (const payload of [{}, { payload: null }]) {
    const { status, body } = await post(path, {
      ...given,
      ...payload,
      payloadBase64: every.toString('base64'),
      contentType,
    });
    expect(status).toBe(201);
    const id = body['id'] as string;
    if (path === '/v1/messages') await ask(`${url}/v1/messages/${id}/commit`, { method: 'POST' });
    expect(await bytesOf(id)).toEqual(whole);
  }
});

test.each<[string, object, number, string]>([
  ['neither', {}, 400, 'payload: it is missing; any JSON value will do, or bytes as payloadBase64'],
  ['nothing but nulls', { payloadBase64: null }, 400, 'payload: it is missing'],
  [
    'both',
    { payload: 1, payloadBase64: 'AAAA', contentType },
    400,
    'expected exactly one of payload and payloadBase64',
  ],
  [
    'what is no base64',
    { payloadBase64: 'A-_A', contentType },
    400,
    'payloadBase64: expected bytes in base64',
  ],
  [
    'base64 that was cut',
    { payloadBase64: 'AAA', contentType },
    400,
    'payloadBase64: expected bytes in base64',
  ],
  ['a number', { payloadBase64: 7, contentType }, 400, 'payloadBase64: expected bytes in base64'],
  ['no content type', { payloadBase64: 'AAAA' }, 422, 'contentType: payloadBytes need one'],
  [
    'that of JSON',
    { payloadBase64: 'AAAA', contentType: 'application/json' },
    422,
    'contentType: payloadBytes need one',
  ],
])('with %s it is refused, in words', async (_what, given, status, detail) => {
  for (const [path, rest] of Object.entries(fields))
    expect(await post(path, { ...rest, ...given })).toMatchObject({
      status,
      body: { detail: expect.stringContaining(detail) as string },
    });
});
