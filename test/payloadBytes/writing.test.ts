/** Events of bytes as producers write them: enqueue, plain SQL, outbox.enqueue, the view of object mappers. */
import { runInNewContext } from 'node:vm';
import { beforeAll, expect, test } from 'vitest';
import { enqueue, type NewEvent } from '../../src/index.ts';
import { databaseWith } from '../storage/fixtures.ts';
import { uniqueName, type TestDatabase } from '../support/index.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWith({ billing: {} });
});

const every = Uint8Array.from({ length: 256 }, (_, value) => value);
const contentType = 'application/avro';
const bytesOf = async (id: string) => {
  const rows = await database.rows<{ payload: unknown; payload_bytes: Buffer | null }>(
    'select payload, payload_bytes from outbox.events where id = $1',
    [id],
  );
  return rows[0];
};
const write = (event: object) =>
  enqueue(database.pool, { type: 'a', ...event } as NewEvent, { ownTransaction: true });

test.each([
  ['every byte', every],
  ['none at all', new Uint8Array()],
  ['a Buffer', Buffer.from(every)],
  ['a part of a longer one', every.subarray(7, 9)],
  ['a mebibyte', new Uint8Array(1024 * 1024).fill(255)],
  ['one of another realm, as in Jest', runInNewContext('Uint8Array.of(1, 2, 255)') as Uint8Array],
])('enqueue stores %s as it is', async (_what, payloadBytes) => {
  const { id } = await write({ payloadBytes, contentType });
  const row = await bytesOf(id);
  expect(row?.payload).toBeNull();
  // A matcher would compare a mebibyte by its members, for half a minute.
  expect(row?.payload_bytes?.equals(payloadBytes)).toBe(true);
});

test('bytes and JSON are written in one call, each as it is', async () => {
  const written = await enqueue(
    database.pool,
    [
      { type: 'a', payload: { n: 1 } },
      { type: 'a', payloadBytes: every, contentType, key: 'k', dedupKey: uniqueName() },
      { type: 'a', payloadText: '"AAEC"' },
    ],
    { ownTransaction: true },
  );
  expect(await Promise.all(written.map(({ id }) => bytesOf(id)))).toEqual([
    { payload: { n: 1 }, payload_bytes: null },
    { payload: null, payload_bytes: Buffer.from(every) },
    { payload: 'AAEC', payload_bytes: null },
  ]);
});

test.each<[string, object, RegExp]>([
  ['no content type', { payloadBytes: every }, /^contentType: payloadBytes need one that says what they are/],
  [
    'that of JSON',
    { payloadBytes: every, contentType: 'Application/JSON' },
    /^contentType: payloadBytes need/,
  ],
  [
    'a payload beside them',
    { payloadBytes: every, contentType, payload: 1 },
    /^payload: expected exactly one of/,
  ],
  [
    'a text beside them',
    { payloadBytes: every, contentType, payloadText: '1' },
    /^payload: expected exactly one of/,
  ],
  ['a text for bytes', { payloadBytes: 'AA==', contentType }, /^payloadBytes: expected a Uint8Array/],
  [
    'an ArrayBuffer',
    { payloadBytes: new ArrayBuffer(1), contentType },
    /^payloadBytes: expected a Uint8Array/,
  ],
  [
    'words of two bytes',
    { payloadBytes: new Uint16Array(1), contentType },
    /^payloadBytes: expected a Uint8Array/,
  ],
  [
    'a byte too many',
    { payloadBytes: new Uint8Array(1024 * 1024 + 1), contentType },
    /^payloadBytes: 1048577 bytes/,
  ],
])('%s is refused before anything is sent', async (_what, event, message) => {
  const silent = { query: () => Promise.reject(new Error('was asked')) };
  await expect(enqueue(silent, { type: 'a', ...event } as NewEvent)).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_INVALID',
    message: expect.stringMatching(message) as string,
  });
});

test.each([
  ['both', `('a', '1', '\\x00', 'application/avro')`, 'events_have_one_payload'],
  ['neither', `('a', null, null, 'application/avro')`, 'events_have_one_payload'],
  [
    'bytes that are said to be JSON',
    `('a', null, '\\x00', 'application/json')`,
    'events_bytes_say_what_they_are',
  ],
  [
    'more than a mebibyte',
    `('a', null, decode(repeat('00', 1048577), 'hex'), 'application/avro')`,
    'events_payload_bytes_fit',
  ],
])('a plain insert with %s is refused by the name of its rule', async (_what, values, constraint) => {
  await expect(
    database.pool.query(
      `insert into outbox.events (type, payload, payload_bytes, content_type) values ${values}`,
    ),
  ).rejects.toMatchObject({ code: '23514', constraint });
});

test('a plain insert of bytes without a content type is refused', async () => {
  await expect(
    database.pool.query(`insert into outbox.events (type, payload_bytes) values ('a', '\\x00')`),
  ).rejects.toMatchObject({ code: '23514', constraint: 'events_bytes_say_what_they_are' });
});

test('outbox.enqueue and the view of object mappers take bytes too', async () => {
  const [called] = await database.rows<{ id: string }>(
    `select outbox.enqueue('a', payload_bytes => '\\x00ff', content_type => 'application/avro') as id`,
  );
  const [mapped] = await database.rows<{ id: string; payload_bytes: Buffer }>(
    `insert into outbox.outgoing_events (id, type, payload, payload_bytes, content_type, headers)
     values (null, 'a', null, '\\x00ff', 'application/avro', null) returning *`,
  );
  expect(mapped?.payload_bytes).toEqual(Buffer.from([0, 255]));
  for (const { id } of [called, mapped] as { id: string }[])
    expect(await bytesOf(id)).toEqual({ payload: null, payload_bytes: Buffer.from([0, 255]) });
});

test.each(['id', 'dedupKey'])(
  'the same bytes again under one %s change nothing, others are a conflict',
  async (name) => {
    const [{ id: own = '' } = {}] = await database.rows<{ id: string }>('select outbox.uuid7() as id');
    const named = { [name]: name === 'id' ? own : uniqueName(), contentType };
    const first = await write({ ...named, payloadBytes: every });
    expect(first.inserted).toBe(true);
    expect(await write({ ...named, payloadBytes: Buffer.from(every) })).toEqual({
      ...first,
      inserted: false,
    });
    const conflict = { code: 'OUTBOX_EVENT_CONFLICT' };
    await expect(write({ ...named, payloadBytes: every.subarray(1) })).rejects.toMatchObject(conflict);
    await expect(write({ ...named, payload: Buffer.from(every).toString('base64') })).rejects.toMatchObject(
      conflict,
    );
  },
);

test('a dedup key whose event went with its day still tells its bytes from others, however it was written', async () => {
  for (const how of ['enqueue', 'insert']) {
    const dedupKey = uniqueName();
    if (how === 'enqueue') await write({ payloadBytes: every, contentType, dedupKey });
    else
      await database.pool.query(
        `insert into outbox.events (type, payload_bytes, content_type, dedup_key) values ('a', $1, $2, $3)`,
        [Buffer.from(every), contentType, dedupKey],
      );
    await database.pool.query('delete from outbox.events where dedup_key = $1', [dedupKey]);
    expect(await write({ payloadBytes: every, contentType, dedupKey })).toMatchObject({ inserted: false });
    await expect(write({ payloadBytes: every.subarray(1), contentType, dedupKey })).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_CONFLICT',
    });
  }
});
