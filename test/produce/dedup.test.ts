import { beforeAll, expect, test } from 'vitest';
import { enqueue } from '../../src/index.ts';
import { uniqueName, type TestDatabase } from '../support/index.ts';
import { databaseWith, session } from '../storage/fixtures.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWith({ billing: {} });
});

async function eventsOf(dedupKey: string): Promise<{ id: string; deliveries: number }[]> {
  return database.rows(
    `select e.id, (select count(*)::int from outbox.deliveries d where d.event_id = e.id) as deliveries
     from outbox.events e where dedup_key = $1`,
    [dedupKey],
  );
}

test('a dedup key names one event: a repeat answers its id and writes nothing', async () => {
  const event = { type: 'a', payload: { a: 1 }, dedupKey: uniqueName() };
  const first = await enqueue(database.pool, event, { ownTransaction: true });
  expect(await enqueue(database.pool, event, { ownTransaction: true })).toEqual({
    id: first.id,
    inserted: false,
  });
  expect(await eventsOf(event.dedupKey)).toEqual([{ id: first.id, deliveries: 1 }]);
});

test('a dedup key with other content is a conflict', async () => {
  const event = { type: 'a', payload: { a: 1 }, dedupKey: uniqueName() };
  const { id } = await enqueue(database.pool, event, { ownTransaction: true });
  await expect(
    enqueue(database.pool, { ...event, payload: { a: 2 } }, { ownTransaction: true }),
  ).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_CONFLICT',
    message: `event ${id} exists with other content`,
  });
});

test('a dedup key with another id is a conflict, not a silence', async () => {
  const event = { type: 'a', payload: { a: 1 }, dedupKey: uniqueName() };
  await enqueue(database.pool, event, { ownTransaction: true });
  const [{ id } = { id: '' }] = await database.rows<{ id: string }>('select outbox.uuid7() as id');
  await expect(enqueue(database.pool, { ...event, id }, { ownTransaction: true })).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_CONFLICT',
  });
  expect(await database.rows('select 1 from outbox.events where id = $1', [id])).toEqual([]);
});

test('one dedup key twice in one call is one event', async () => {
  const event = { type: 'a', payload: { a: 1 }, dedupKey: uniqueName() };
  const [first, second] = await enqueue(database.pool, [event, event], { ownTransaction: true });
  expect(first?.inserted).toBe(true);
  expect(second).toEqual({ id: first?.id, inserted: false });
  expect(await eventsOf(event.dedupKey)).toHaveLength(1);
});

test('two transactions with one dedup key: the second waits for the first and then repeats it', async () => {
  const event = { type: 'a', payload: { a: 1 }, dedupKey: uniqueName() };
  const client = await session(database.url);
  await client.query('begin');
  const first = await enqueue(client, event);
  const second = enqueue(database.pool, event, { ownTransaction: true });
  await client.query('commit');
  expect(await second).toEqual({ id: first.id, inserted: false });
  expect(await eventsOf(event.dedupKey)).toEqual([{ id: first.id, deliveries: 1 }]);
});

test('… and writes its own event when the first one rolls back', async () => {
  const event = { type: 'a', payload: { a: 1 }, dedupKey: uniqueName() };
  const client = await session(database.url);
  await client.query('begin');
  const first = await enqueue(client, event);
  const second = enqueue(database.pool, event, { ownTransaction: true });
  await client.query('rollback');
  const { id, inserted } = await second;
  expect(inserted).toBe(true);
  expect(id).not.toBe(first.id);
  expect(await eventsOf(event.dedupKey)).toEqual([{ id, deliveries: 1 }]);
});

test('twenty producers of one dedup key at once make one event', async () => {
  const event = { type: 'a', payload: { a: 1 }, dedupKey: uniqueName() };
  const written = await Promise.all(
    Array.from({ length: 20 }, () => enqueue(database.pool, event, { ownTransaction: true })),
  );
  expect(new Set(written.map(({ id }) => id)).size).toBe(1);
  expect(written.filter(({ inserted }) => inserted)).toHaveLength(1);
});

test('two transactions with the same keys in opposite order do not deadlock within a statement', async () => {
  const keys = Array.from({ length: 50 }, () => uniqueName());
  const events = keys.map((dedupKey) => ({ type: 'a', payload: 1, dedupKey }));
  const written = await Promise.all(
    Array.from({ length: 6 }, (_, n) =>
      enqueue(database.pool, n % 2 === 0 ? events : events.toReversed(), { ownTransaction: true }),
    ),
  );
  expect(written.flat().filter(({ inserted }) => inserted)).toHaveLength(50);
});

test('a key whose event was dropped with its day still names it', async () => {
  const event = { type: 'a', payload: 1, dedupKey: uniqueName() };
  const [{ id } = { id: '' }] = await database.rows<{ id: string }>(
    'select outbox.uuid7_floor(now() - interval $$400 days$$) as id',
  );
  await database.pool.query(
    `insert into outbox.event_dedup_keys (dedup_key, event_id, digest)
     values ($1, $2, outbox.event_digest('a', '1', '{}', null, null, null, 'application/json'))`,
    [event.dedupKey, id],
  );
  expect(await enqueue(database.pool, event, { ownTransaction: true })).toEqual({ id, inserted: false });
});

test('a plain insert with a taken dedup key is refused, saying what to use instead', async () => {
  const insert = `insert into outbox.events (type, payload, dedup_key) values ('a', '{}', $1)`;
  const key = uniqueName();
  await database.pool.query(insert, [key]);
  await expect(database.pool.query(insert, [key])).rejects.toMatchObject({
    code: '23505',
    constraint: 'event_dedup_keys_are_unique',
    message: `dedup key '${key}' names another event`,
    hint: expect.stringContaining('outbox.enqueue') as string,
  });
  expect(await eventsOf(key)).toHaveLength(1);
});

test('plain inserts of one key in two transactions: the second waits, and is refused', async () => {
  const insert = `insert into outbox.events (type, payload, dedup_key) values ('a', '{}', $1)`;
  const key = uniqueName();
  const client = await session(database.url);
  await client.query('begin');
  await client.query(insert, [key]);
  const second = database.pool.query(insert, [key]).catch((error: unknown) => error);
  await client.query('commit');
  expect(await second).toMatchObject({ code: '23505' });
});
