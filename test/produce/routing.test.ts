import { expect, test } from 'vitest';
import { countUnrouted } from '../../src/storage/status.ts';
import { applyTestConfig, type TestDatabase } from '../support/index.ts';
import { databaseWith, yamlOf } from '../storage/fixtures.ts';

/** Destinations that an event of this type and payload goes to. */
async function takers(database: TestDatabase, type: string, payload: unknown = {}): Promise<string[]> {
  const [event] = await database.rows<{ id: string }>(
    'insert into outbox.events (type, payload) values ($1, $2) returning id',
    [type, JSON.stringify(payload)],
  );
  const found = await database.rows<{ destination: string }>(
    'select destination from outbox.deliveries where event_id = $1 order by seq',
    [event?.id],
  );
  return found.map(({ destination }) => destination);
}

const three = { a: {}, b: {}, c: {} };

test('a route takes its types, and hands them to each of its destinations', async () => {
  const database = await databaseWith(
    three,
    `[{ match: order.created, to: [a, b] }, { match: 'user.*', to: [c] }]`,
  );
  expect(await takers(database, 'order.created')).toEqual(['a', 'b']);
  expect(await takers(database, 'user.created')).toEqual(['c']);
  expect(await takers(database, 'order.created.v2')).toEqual([]);
});

test('several routes to one destination make one delivery', async () => {
  const database = await databaseWith(
    three,
    `[{ match: 'order.*', to: [a, b] }, { match: '*', to: [a] }, { match: order.paid, where: '$.x', to: [a] }]`,
  );
  expect(await takers(database, 'order.paid', { x: 1 })).toEqual(['a', 'b']);
});

test('a star spans dots and the empty text', async () => {
  const database = await databaseWith(
    three,
    `[{ match: 'order.*', to: [a] }, { match: '*.paid', to: [b] }, { match: 'x*y', to: [c] }]`,
  );
  expect(await takers(database, 'order.line.added')).toEqual(['a']);
  expect(await takers(database, 'order.line.paid')).toEqual(['a', 'b']);
  expect(await takers(database, 'order.')).toEqual(['a']);
  expect(await takers(database, 'order')).toEqual([]);
  expect(await takers(database, 'xy')).toEqual(['c']);
});

test('LIKE’s own wildcards stand for themselves', async () => {
  const database = await databaseWith(
    three,
    `[{ match: 'order_paid', to: [a] }, { match: '100%', to: [b] }, { match: 'a\\b*', to: [c] }]`,
  );
  expect(await takers(database, 'order_paid')).toEqual(['a']);
  expect(await takers(database, 'order.paid')).toEqual([]);
  expect(await takers(database, '100%')).toEqual(['b']);
  expect(await takers(database, '1000')).toEqual([]);
  expect(await takers(database, 'a\\bc')).toEqual(['c']);
  expect(await takers(database, 'abc')).toEqual([]);
});

test('a filter that yields a boolean takes only what makes it true', async () => {
  const database = await databaseWith({ a: {} }, `[{ match: '*', where: '$.total > 100', to: [a] }]`);
  expect(await takers(database, 'x', { total: 101 })).toEqual(['a']);
  for (const payload of [{ total: 100 }, { total: 'many' }, {}, [], null, { total: null }]) {
    expect(await takers(database, 'x', payload)).toEqual([]);
  }
});

test('a filter that yields items takes what yields any', async () => {
  const database = await databaseWith(
    { a: {} },
    `[{ match: '*', where: '$.lines[*] ? (@.price > 100)', to: [a] }]`,
  );
  expect(await takers(database, 'x', { lines: [{ price: 5 }, { price: 500 }] })).toEqual(['a']);
  for (const payload of [{ lines: [{ price: 5 }] }, { lines: [] }, {}, null, 7]) {
    expect(await takers(database, 'x', payload)).toEqual([]);
  }
});

test('each filter is known for what it yields', async () => {
  const { rows } = await databaseWith({ a: {} });
  const modes = {
    '$.total > 100': 'predicate',
    'exists($.total)': 'predicate',
    '$.a == 1 && !($.b == 2)': 'predicate',
    'strict $.total > 100': 'predicate',
    '$.name like_regex "^a"': 'predicate',
    '$.at.datetime() > "2024-01-01".datetime()': 'predicate',
    '$.total': 'items',
    '$.total ? (@ > 100)': 'items',
    '$.* ? (@ == "$")': 'items',
    '$."$x" ? (@ == "a\\"$")': 'items',
  };
  const found = await rows<{ filter: string; mode: string }>(
    'select filter, outbox.filter_mode(filter::jsonpath) as mode from unnest($1::text[]) filter',
    [Object.keys(modes)],
  );
  expect(Object.fromEntries(found.map(({ filter, mode }) => [filter, mode]))).toEqual(modes);
});

test('a date filter never fails a producer, whatever is in its payload', async () => {
  const database = await databaseWith(
    { a: {}, b: {} },
    `[{ match: '*', where: '$.at.datetime() ? (@ < "2024-01-02".datetime())', to: [a] }, { match: '*', where: '$.at.datetime() < "2024-01-02".datetime()', to: [b] }]`,
  );
  expect(await takers(database, 'x', { at: '2024-01-01' })).toEqual(['a', 'b']);
  expect(await takers(database, 'x', { at: '2024-01-01T10:00:00+02' })).toEqual(['a', 'b']);
  expect(await takers(database, 'x', { at: '2024-01-03T10:00:00+02' })).toEqual([]);
  for (const at of ['yesterday', '12:00:00+00', 5, null, {}])
    expect(await takers(database, 'x', { at })).toEqual([]);
});

test('days in filters are days in UTC, whatever time zone the producer has set', async () => {
  const database = await databaseWith(
    { a: {} },
    `[{ match: '*', where: '$.at.datetime() < "2024-01-02".datetime()', to: [a] }]`,
  );
  await database.pool.query(`alter database "${database.name}" set timezone = 'Pacific/Auckland'`);
  const client = await database.pool.connect();
  await client.query(`set timezone = 'Pacific/Auckland'`);
  await client.query(
    `insert into outbox.events (type, payload) values ('x', '{"at": "2024-01-01T23:30:00+00"}')`,
  );
  client.release();
  expect(await database.rows('select destination from outbox.deliveries')).toEqual([{ destination: 'a' }]);
});

test('events that no route takes are counted by type', async () => {
  const database = await databaseWith({ a: {} }, `[{ match: order.paid, where: '$.total > 100', to: [a] }]`);
  await takers(database, 'order.paid', { total: 5 });
  await takers(database, 'order.paid', { total: 500 });
  await takers(database, 'user.left');
  await takers(database, 'user.left');
  expect(await countUnrouted(database.pool)).toEqual([
    { type: 'user.left', events: 2 },
    { type: 'order.paid', events: 1 },
  ]);
});

test('a new destination and route take the next event of a producer that changed nothing', async () => {
  const database = await databaseWith({ a: {} });
  const producer = await database.pool.connect();
  const insert = { name: 'prepared', text: `insert into outbox.events (type, payload) values ('x', '{}')` };
  for (let n = 0; n < 8; n += 1) await producer.query(insert);
  await applyTestConfig(database, yamlOf({ a: {}, b: {} }, `[{ match: '*', to: [a, b] }]`));
  await producer.query(insert);
  producer.release();
  expect(
    await database.rows(
      'select destination, count(*)::int as count from outbox.deliveries group by 1 order by 1',
    ),
  ).toEqual([
    { destination: 'a', count: 9 },
    { destination: 'b', count: 1 },
  ]);
});

test('a thousand routes are looked up without being felt', async () => {
  const database = await databaseWith(
    { a: {} },
    `[${Array.from({ length: 1000 }, (_, n) => `{ match: 'type.${n}.*', to: [a] }`).join(', ')}]`,
  );
  expect(await takers(database, 'type.999.x')).toEqual(['a']);
  expect(await takers(database, 'type.1000.x')).toEqual([]);
});
