import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { enqueue, type NewEvent, type SqlClient } from '../../src/index.ts';
import type { TestDatabase } from '../support/index.ts';
import { databaseWith, session } from '../storage/fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWith({ billing: {} });
});

const payloadBytesMax = 1_048_576;
/** A JSON string of so many bytes, quotes included. */
const textOf = (bytes: number): string => 'x'.repeat(bytes - 2);
const cycle: Record<string, unknown> = {};
cycle['self'] = { cycle };
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

/** Anything that is no NewEvent at all, or not one that can be stored. */
const neverSent: [string, unknown, RegExp][] = [
  ['no object', 'order', /^event: expected an object/],
  ['null', null, /^event: expected an object/],
  ['no type', { payload: 1 }, /^type: expected a text, got undefined/],
  ['an empty type', { type: '', payload: 1 }, /^type: expected 1 to 255 bytes, got 0/],
  [
    'a type that is too long in bytes',
    { type: 'é'.repeat(128), payload: 1 },
    /^type: expected 1 to 255 bytes, got 256/,
  ],
  ['a numeric type', { type: 7, payload: 1 }, /^type: expected a text, got number/],
  ['NUL in the type', { type: 'a\0b', payload: 1 }, /^type: NUL/],
  ['an empty key', { type: 'a', payload: 1, key: '' }, /^key: expected 1 to 1024 bytes, got 0/],
  [
    'a key of 10 kB',
    { type: 'a', payload: 1, key: 'k'.repeat(10_240) },
    /^key: expected 1 to 1024 bytes, got 10240/,
  ],
  ['NUL in the key', { type: 'a', payload: 1, key: 'a\0' }, /^key: NUL/],
  ['half a character in the key', { type: 'a', payload: 1, key: 'a\ud800' }, /^key: NUL and lone surrogates/],
  ['no payload', { type: 'a' }, /^payload: expected exactly one/],
  ['an undefined payload', { type: 'a', payload: undefined }, /^payload: expected exactly one/],
  ['payload and payloadText', { type: 'a', payload: 1, payloadText: '1' }, /^payload: expected exactly one/],
  [
    'undefined in a list',
    { type: 'a', payload: { lines: [{ prices: [1, undefined] }] } },
    /^payload\.lines\[0\]\.prices\[1\]: undefined is not JSON/,
  ],
  ['a hole in an array', { type: 'a', payload: new Array(1) }, /^payload\[0\]: undefined/],
  ['a function', { type: 'a', payload: { f: () => 1 } }, /^payload\.f: a function/],
  ['a symbol', { type: 'a', payload: Symbol('x') }, /^payload: a symbol/],
  [
    'a BigInt',
    { type: 'a', payload: { n: 10n } },
    /^payload\.n: a bigint is not JSON; pass the payload as payloadText/,
  ],
  ['NaN', { type: 'a', payload: [NaN] }, /^payload\[0\]: NaN/],
  ['Infinity', { type: 'a', payload: -Infinity }, /^payload: -Infinity/],
  ['a Date that is none', { type: 'a', payload: { at: new Date('soon') } }, /^payload\.at: an invalid Date/],
  ['a Map', { type: 'a', payload: new Map() }, /^payload: JSON would keep nothing of a Map/],
  ['a Set inside', { type: 'a', payload: [{ tags: new Set(['x']) }] }, /^payload\[0\]\.tags: .* a Set/],
  ['an Error', { type: 'a', payload: { error: new TypeError('x') } }, /^payload\.error: .* an Error/],
  ['bytes', { type: 'a', payload: { blob: new Uint8Array(2) } }, /^payload\.blob: .* a Uint8Array/],
  [
    'a toJSON that answers a BigInt',
    { type: 'a', payload: { n: { toJSON: () => 1n } } },
    /^payload\.n: a bigint/,
  ],
  [
    'a toJSON that answers nothing',
    { type: 'a', payload: { toJSON: () => undefined } },
    /^payload: undefined/,
  ],
  [
    'a toJSON that answers NaN in a list',
    { type: 'a', payload: [{ toJSON: () => NaN }] },
    /^payload\[0\]: NaN/,
  ],
  [
    'a toJSON that throws',
    {
      type: 'a',
      payload: {
        toJSON: () => {
          throw new Error('not loaded');
        },
      },
    },
    /^payload: it cannot be made into JSON: not loaded/,
  ],
  ['a boxed NaN', { type: 'a', payload: { n: Object(NaN) as unknown } }, /^payload\.n: NaN/],
  ['a boxed BigInt', { type: 'a', payload: [Object(1n) as unknown] }, /^payload.*BigInt/],
  ['a key with a colon', { type: 'a', payload: { 'a:b': { f: Infinity } } }, /^payload\.a:b\.f: Infinity/],
  ['a cycle', { type: 'a', payload: cycle }, /^payload\.self\.cycle: the payload contains itself/],
  [
    'nesting without end',
    { type: 'a', payload: JSON.parse(nested(5000)) as unknown },
    /^payload: nested more than 1000/,
  ],
  ['NUL in a text', { type: 'a', payload: 'a\0b' }, /^payload: the character NUL/],
  ['NUL in a name', { type: 'a', payload: { 'a\0': 1 } }, /^payload: the character NUL/],
  ['an escaped NUL', { type: 'a', payloadText: '"\\u0000"' }, /^payload: the character NUL/],
  ['half a character', { type: 'a', payload: '\ud83d' }, /^payload: a lone surrogate/],
  ['an escaped half', { type: 'a', payloadText: '"\\udc00"' }, /^payload: a lone surrogate/],
  [
    'halves with a backslash between',
    { type: 'a', payloadText: '"\\ud83d\\\\\\ude00"' },
    /^payload: a lone surrogate/,
  ],
  ['no JSON', { type: 'a', payloadText: '{a: 1}' }, /^payload: payloadText is not JSON/],
  ['an empty payloadText', { type: 'a', payloadText: '' }, /^payload: payloadText is not JSON/],
  [
    'a payload one byte over',
    { type: 'a', payload: textOf(payloadBytesMax + 1) },
    /^payload: 1048577 bytes are more than the 1048576/,
  ],
  ['a UUIDv4 id', { type: 'a', payload: 1, id: randomUUID() }, /^id: expected a UUIDv7, .*dedupKey/],
  ['no UUID', { type: 'a', payload: 1, id: 'order-1' }, /^id: expected a UUIDv7/],
  [
    'headers that are no texts',
    { type: 'a', payload: 1, headers: { retries: 3 } },
    /^headers\.retries: expected a text, got number/,
  ],
  ['headers in an array', { type: 'a', payload: 1, headers: ['x'] }, /^headers: expected an object/],
  ['NUL in a header', { type: 'a', payload: 1, headers: { x: '\0' } }, /^headers\.x: NUL/],
  [
    'an invalid deliverAt',
    { type: 'a', payload: 1, deliverAt: new Date('soon') },
    /^deliverAt: expected a valid Date/,
  ],
  [
    'the year 10000',
    { type: 'a', payload: 1, deliverAt: new Date(Date.UTC(10_000, 0, 1)) },
    /^deliverAt: expected a valid Date/,
  ],
  [
    'a text for deliverAt',
    { type: 'a', payload: 1, deliverAt: 'infinity' },
    /^deliverAt: expected a valid Date/,
  ],
];

test.each(neverSent)('enqueue refuses %s before anything is sent', async (_what, event, message) => {
  const client: SqlClient = { query: () => Promise.reject(new Error('was sent')) };
  await expect(enqueue(client, event as NewEvent)).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_INVALID',
    message: expect.stringMatching(message) as string,
    hint: 'Nothing was written.',
  });
});

test('of several events the bad one is named by its place, and none is sent', async () => {
  const client: SqlClient = { query: () => Promise.reject(new Error('was sent')) };
  const events = [
    { type: 'a', payload: 1 },
    { type: 'a', payload: { x: 1n } },
  ];
  await expect(enqueue(client, events)).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_INVALID',
    message: expect.stringMatching(/^events\[1\]\.payload\.x: a bigint/) as string,
  });
});

/** Only PostgreSQL can tell. */
test.each<[string, NewEvent, RegExp]>([
  [
    'a payload that fits until it is printed',
    { type: 'a', payload: Array(400_000).fill(1) },
    /^payload: more than 1048576 bytes as PostgreSQL prints it/,
  ],
  ['a number beyond numeric', { type: 'a', payloadText: '1e200000' }, /^payload: a number too large/],
  [
    'headers of 20 kB',
    { type: 'a', payload: 1, headers: { x: 'y'.repeat(20_000) } },
    /^headers: more than 16384 bytes/,
  ],
  [
    'a content type that is none',
    { type: 'a', payload: 1, contentType: 'json' },
    /^contentType: expected a media type/,
  ],
  [
    'an id of 2001',
    { type: 'a', payload: 1, id: '00e7be2c-0000-7000-8000-000000000000' },
    /is not a UUIDv7 of our time/,
  ],
  [
    'an id of next year',
    {
      type: 'a',
      payload: 1,
      id: `${(Date.now() + 4e10)
        .toString(16)
        .padStart(12, '0')
        .replace(/^(.{8})/, '$1-')}-7000-8000-000000000000`,
    },
    /^id: [0-9a-f-]+ is of .*no partition/,
  ],
])('enqueue refuses %s in the caller’s transaction', async (_what, event, message) => {
  await expect(enqueue(database.pool, event, { ownTransaction: true })).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_INVALID',
    message: expect.stringMatching(message) as string,
  });
});

test('a payload of exactly the limit, in bytes and not in characters, is stored', async () => {
  for (const payload of [textOf(payloadBytesMax), 'é'.repeat((payloadBytesMax - 2) / 2)]) {
    const { id } = await enqueue(database.pool, { type: 'a', payload }, { ownTransaction: true });
    expect(
      await database.rows('select octet_length(payload::text) as bytes from outbox.events where id = $1', [
        id,
      ]),
    ).toEqual([{ bytes: payloadBytesMax }]);
  }
  await expect(
    enqueue(database.pool, { type: 'a', payload: 'é'.repeat(payloadBytesMax / 2) }, { ownTransaction: true }),
  ).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_INVALID',
  });
});

test('keys of any script are stored as given, NFC and NFD as two', async () => {
  const keys = [
    '🙂',
    'é'.normalize('NFC'),
    'é'.normalize('NFD'),
    'k'.repeat(1024),
    ' ',
    "'; drop table outbox.events; --",
  ];
  const written = await enqueue(
    database.pool,
    keys.map((key) => ({ type: 'a', payload: 1, key })),
    { ownTransaction: true },
  );
  const rows = await database.rows<{ key: string }>(
    'select e.key from unnest($1::uuid[]) with ordinality u(id, n) join outbox.events e using (id) order by n',
    [written.map(({ id }) => id)],
  );
  expect(rows.map(({ key }) => key)).toEqual(keys);
});

test('headers named like JavaScript’s own are headers', async () => {
  const headers = JSON.parse('{"__proto__": "a", "constructor": "b"}') as Record<string, string>;
  const { id } = await enqueue(database.pool, { type: 'a', payload: 1, headers }, { ownTransaction: true });
  expect(await database.rows('select headers::text from outbox.events where id = $1', [id])).toEqual([
    { headers: '{"__proto__": "a", "constructor": "b"}' },
  ]);
});

describe('a plain insert', () => {
  const insert = (columns: string, values: string) =>
    `insert into outbox.events (type, payload, ${columns}) values ('a', '{}', ${values})`;
  test.each([
    ['an empty type', `insert into outbox.events (type, payload) values ('', '{}')`, 'events_type_is_named'],
    [
      'a payload one byte over',
      `insert into outbox.events (type, payload) values ('a', to_jsonb(repeat('x', 1048575)))`,
      'events_payload_fits',
    ],
    ['an empty key', insert('key', `''`), 'events_key_fits'],
    ['a key of 10 kB', insert('key', `repeat('k', 10240)`), 'events_key_fits'],
    ['headers that are no texts', insert('headers', `'{"retries": 3}'`), 'events_headers_are_strings'],
    ['headers in an array', insert('headers', `'["x"]'`), 'events_headers_are_strings'],
    ['a deliver_at of infinity', insert('deliver_at', `'infinity'`), 'events_deliver_at_is_finite'],
    ['a deliver_at of the year 10000', insert('deliver_at', `'10000-01-01'`), 'events_deliver_at_is_finite'],
    ['an empty dedup key', insert('dedup_key', `''`), 'events_dedup_key_fits'],
    ['an empty source', insert('source', `''`), 'events_source_fits'],
    [
      'a content type that is none',
      insert('content_type', `E'text/plain\\r\\nx: y'`),
      'events_content_type_fits',
    ],
  ])('with %s is refused by the name of its rule', async (_what, sql, constraint) => {
    await expect(database.pool.query(sql)).rejects.toMatchObject({ code: '23514', constraint });
  });

  test.each([
    ['NUL in the payload', `insert into outbox.events (type, payload) values ('a', '"\\u0000"')`, '22P05'],
    ['half a character', `insert into outbox.events (type, payload) values ('a', '"\\ud800"')`, '22P02'],
    ['no payload', `insert into outbox.events (type) values ('a')`, '23514'],
    ['no type', `insert into outbox.events (payload) values ('{}')`, '23502'],
    ['no JSON', `insert into outbox.events (type, payload) values ('a', '{a}')`, '22P02'],
  ])('with %s is refused by PostgreSQL', async (_what, sql, code) => {
    await expect(database.pool.query(sql)).rejects.toMatchObject({ code });
  });

  test('of many rows is refused whole when one is bad', async () => {
    const client = await session(database.url);
    await expect(
      client.query(
        `insert into outbox.events (type, payload) values ('whole', '1'), ('whole', '2'), ('', '3')`,
      ),
    ).rejects.toMatchObject({ code: '23514' });
    expect(await database.rows(`select 1 from outbox.events where type = 'whole'`)).toEqual([]);
  });
});

test('states changed by hand into what cannot be are refused', async () => {
  const { id } = await enqueue(database.pool, { type: 'a', payload: 1 }, { ownTransaction: true });
  for (const [change, constraint] of [
    [`state = 'done'`, 'deliveries_state_is_known'],
    [`state = 'claimed'`, 'deliveries_batch_owns_its_states'],
    [`state = 'scheduled'`, 'deliveries_due_when_timed'],
    [`batch_id = gen_random_uuid()`, 'deliveries_batch_owns_its_states'],
    ['attempts = 1', 'deliveries_charged_are_tries'],
  ]) {
    await expect(
      database.pool.query(`update outbox.deliveries set ${change} where event_id = $1`, [id]),
    ).rejects.toMatchObject({ code: '23514', constraint });
  }
});
