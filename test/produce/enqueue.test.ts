import { beforeAll, expect, test } from 'vitest';
import { enqueue, type EventFields, type NewEvent, type SqlClient } from '../../src/index.ts';
import type { TestDatabase } from '../support/index.ts';
import { databaseWith, session } from '../storage/fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWith({ billing: {} });
});

async function newId(): Promise<string> {
  const [row] = await database.rows<{ id: string }>('select outbox.uuid7() as id');
  return row?.id ?? '';
}

async function stored(id: string): Promise<Record<string, unknown>[]> {
  return database.rows(
    `select e.type, e.payload::text, e.key, e.headers, e.deliver_at, e.source, e.subject, e.content_type, e.dedup_key,
            (select count(*)::int from outbox.deliveries d where d.event_id = e.id) as deliveries
     from outbox.events e where id = $1`,
    [id],
  );
}

test('every field of an event is stored as given', async () => {
  const { id, inserted } = await enqueue(
    database.pool,
    {
      type: 'order.created',
      payload: { total: 1, note: '🙂' },
      key: 'order-1',
      headers: { 'x-tenant': 'a', __proto: 'b' },
      deliverAt: new Date('2031-02-03T04:05:06.789Z'),
      source: 'shop',
      subject: 'orders/1',
      contentType: 'application/vnd.shop+json',
      dedupKey: 'every-field',
    },
    { ownTransaction: true },
  );
  expect(inserted).toBe(true);
  expect(await stored(id)).toEqual([
    {
      type: 'order.created',
      payload: '{"note": "🙂", "total": 1}',
      key: 'order-1',
      headers: { 'x-tenant': 'a', __proto: 'b' },
      deliver_at: new Date('2031-02-03T04:05:06.789Z'),
      source: 'shop',
      subject: 'orders/1',
      content_type: 'application/vnd.shop+json',
      dedup_key: 'every-field',
      deliveries: 1,
    },
  ]);
});

test('several events are written in one statement, and answered in their order', async () => {
  let statements = 0;
  const counting: SqlClient = {
    query: (text, values) => {
      statements += 1;
      return database.pool.query(text, values);
    },
  };
  const id = await newId();
  const events: NewEvent[] = [
    { type: 'c', payload: 1 },
    { type: 'a', payload: 2, id },
    { type: 'b', payload: 3 },
  ];
  const written = await enqueue(counting, events);
  expect(statements).toBe(1);
  expect(written.map(({ inserted }) => inserted)).toEqual([true, true, true]);
  expect(written[1]?.id).toBe(id);
  const order = await database.rows<{ event_id: string }>(
    'select event_id from outbox.deliveries where event_id = any ($1) order by seq',
    [written.map((event) => event.id)],
  );
  expect(order.map(({ event_id }) => event_id)).toEqual(written.map((event) => event.id));
});

test('no events are no statement', async () => {
  const client: SqlClient = { query: () => Promise.reject(new Error('asked')) };
  expect(await enqueue(client, [])).toEqual([]);
});

test('an adapter around any driver is enough: query(text, values) that answers rows', async () => {
  const client = await session(database.url);
  const adapter: SqlClient = {
    query: async (text, values) => ({ rows: (await client.query(text, values)).rows as unknown[] }),
  };
  await client.query('begin');
  const { id } = await enqueue(adapter, { type: 'a', payload: {} });
  expect(await stored(id)).toEqual([]);
  await client.query('commit');
  expect(await stored(id)).toHaveLength(1);
});

test('an event of a transaction that rolls back never was', async () => {
  const client = await session(database.url);
  await client.query('begin');
  const { id } = await enqueue(client, { type: 'a', payload: {}, dedupKey: 'rolled-back' });
  await client.query('rollback');
  expect(await stored(id)).toEqual([]);
  expect(
    (
      await enqueue(
        database.pool,
        { type: 'other', payload: {}, dedupKey: 'rolled-back' },
        { ownTransaction: true },
      )
    ).inserted,
  ).toBe(true);
});

test('in an aborted transaction nothing is written and PostgreSQL’s own error comes through', async () => {
  const client = await session(database.url);
  await client.query('begin');
  await client.query('select 1/0').catch(() => undefined);
  await expect(enqueue(client, { type: 'a', payload: {} })).rejects.toMatchObject({ code: '25P02' });
});

test('the same id with the same content again changes nothing', async () => {
  const event = { id: await newId(), type: 'a', payload: { b: 1, a: [1, 2] }, headers: { x: 'y' }, key: 'k' };
  expect(await enqueue(database.pool, event, { ownTransaction: true })).toEqual({
    id: event.id,
    inserted: true,
  });
  const again = { ...event, payload: { a: [1, 2], b: 1 } };
  expect(await enqueue(database.pool, again, { ownTransaction: true })).toEqual({
    id: event.id,
    inserted: false,
  });
  expect(
    await enqueue(database.pool, { ...event, id: event.id.toUpperCase() }, { ownTransaction: true }),
  ).toEqual({
    id: event.id,
    inserted: false,
  });
  expect(await stored(event.id)).toMatchObject([{ deliveries: 1 }]);
});

test.each<[string, Partial<EventFields> & { readonly payload?: object }]>([
  ['payload', { payload: { a: 2 } }],
  ['type', { type: 'b' }],
  ['headers', { headers: { x: 'y' } }],
  ['key', { key: 'k' }],
  ['source', { source: 's' }],
  ['subject', { subject: 's' }],
  ['contentType', { contentType: 'text/plain' }],
  ['dedupKey', { dedupKey: 'late' }],
])('the same id with another %s is a conflict, and the first stays', async (_field, change) => {
  const event = { id: await newId(), type: 'a', payload: { a: 1 } };
  await enqueue(database.pool, event, { ownTransaction: true });
  const before = await stored(event.id);
  await expect(
    enqueue(database.pool, { ...event, ...change }, { ownTransaction: true }),
  ).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_CONFLICT',
    message: `event ${event.id} exists with other content`,
  });
  expect(await stored(event.id)).toEqual(before);
});

test('a repeat with a new deliverAt is a repeat', async () => {
  const event = { id: await newId(), type: 'a', payload: 1, deliverAt: new Date('2031-01-01') };
  await enqueue(database.pool, event, { ownTransaction: true });
  expect(
    (await enqueue(database.pool, { ...event, deliverAt: new Date('2032-01-01') }, { ownTransaction: true }))
      .inserted,
  ).toBe(false);
});

test('one id twice in one call is written once, and conflicts with itself when the content differs', async () => {
  const event = { id: await newId(), type: 'a', payload: 1 };
  expect(await enqueue(database.pool, [event, event], { ownTransaction: true })).toEqual([
    { id: event.id, inserted: true },
    { id: event.id, inserted: false },
  ]);
  const other = { id: await newId(), type: 'a', payload: 1 };
  await expect(
    enqueue(database.pool, [other, { ...other, payload: 2 }], { ownTransaction: true }),
  ).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_CONFLICT',
  });
  expect(await stored(other.id)).toEqual([]);
});

test('two transactions with one id: the second waits, then repeats or conflicts', async () => {
  for (const [payload, outcome] of [
    [1, { inserted: false }],
    [2, { code: 'OUTBOX_EVENT_CONFLICT' }],
  ] as const) {
    const id = await newId();
    const client = await session(database.url);
    await client.query('begin');
    await enqueue(client, { id, type: 'a', payload: 1 });
    const second = enqueue(database.pool, { id, type: 'a', payload }, { ownTransaction: true }).catch(
      (error: unknown) => error,
    );
    await client.query('commit');
    expect(await second).toMatchObject(outcome);
  }
});

test('a schema that is not there is said so, with the cure', async () => {
  const client: SqlClient = {
    query: () =>
      Promise.reject(Object.assign(new Error('schema "outbox" does not exist'), { code: '3F000' })),
  };
  await expect(enqueue(client, { type: 'a', payload: 1 })).rejects.toMatchObject({
    code: 'OUTBOX_SCHEMA_MISSING',
    hint: 'Run: temporal-outbox migrate',
  });
});

test('a serialization failure keeps its code, for whoever repeats the transaction', async () => {
  const clients = [await session(database.url), await session(database.url)] as const;
  for (const client of clients) {
    await client.query('begin isolation level repeatable read');
    await client.query('select 1 from outbox.events limit 1');
  }
  const id = await newId();
  await enqueue(clients[0], { id, type: 'a', payload: 1 });
  await clients[0].query('commit');
  await expect(enqueue(clients[1], { id, type: 'a', payload: 1 })).rejects.toMatchObject({ code: '40001' });
});
