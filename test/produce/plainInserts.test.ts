import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { requires, type TestDatabase } from '../support/index.ts';
import { databaseWith, session, type Refusal } from '../storage/fixtures.ts';
import { onlyWithEverything } from '../support/everything.ts';

const uuid7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The types of events that have a delivery, in the order of delivery. */
async function delivered(database: TestDatabase): Promise<string[]> {
  const rows = await database.rows<{ type: string }>(
    `select e.type from outbox.deliveries d join outbox.events e on e.id = d.event_id where d.state = 'pending' order by d.seq`,
  );
  return rows.map(({ type }) => type);
}

test('one row is one event and one delivery; everything else has a default', async () => {
  const database = await databaseWith({ billing: {} });
  await database.pool.query(`insert into outbox.events (type, payload) values ('a', '{"n": 1}')`);
  const [event] = await database.rows('select * from outbox.events');
  expect(event).toMatchObject({
    id: expect.stringMatching(uuid7) as string,
    type: 'a',
    key: null,
    payload: { n: 1 },
    headers: {},
    deliver_at: null,
    source: null,
    subject: null,
    content_type: 'application/json',
    dedup_key: null,
  });
  expect(await database.rows('select event_id, destination, state, batch_id from outbox.deliveries')).toEqual(
    [{ event_id: event?.['id'], destination: 'billing', state: 'pending', batch_id: null }],
  );
});

test('a default id carries the time it was made, to the millisecond', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  await pool.query(`insert into outbox.events (type, payload) values ('a', '{}')`);
  const [{ off } = { off: NaN }] = await rows<{ off: number }>(
    'select abs(extract(epoch from outbox.uuid7_time(id) - created_at))::float8 as off from outbox.events',
  );
  expect(off).toBeLessThan(1);
});

test('RETURNING id answers the ids, in the order of the rows', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const { rows: returned } = await pool.query<{ id: string }>(
    `insert into outbox.events (type, payload) values ('a', '1'), ('b', '2'), ('c', '3') returning id`,
  );
  const stored = await rows<{ id: string }>('select event_id as id from outbox.deliveries order by seq');
  expect(stored).toEqual(returned);
});

test('rows of one statement are delivered in their order', async () => {
  const database = await databaseWith({ billing: {} });
  await database.pool.query(
    `insert into outbox.events (type, payload) values ('c', '1'), ('a', '2'), ('b', '3')`,
  );
  expect(await delivered(database)).toEqual(['c', 'a', 'b']);
});

test('INSERT … SELECT, a CTE and MERGE write events as VALUES does', async () => {
  const database = await databaseWith({ billing: {} });
  await database.pool.query(
    `insert into outbox.events (type, payload) select 'select.' || n, '{}' from generate_series(1, 2) n`,
  );
  await database.pool.query(
    `with written as (insert into outbox.events (type, payload) values ('cte', '{}') returning id) select id from written`,
  );
  await database.pool.query(
    `merge into outbox.events e using (values ('merged')) n(type) on e.type = n.type
     when not matched then insert (type, payload) values (n.type, '{}')`,
  );
  expect(await delivered(database)).toEqual(['select.1', 'select.2', 'cte', 'merged']);
});

test('COPY writes events', async () => {
  const database = await databaseWith({ billing: {} });
  await copy(database.url, `copied.1\\t{"n": 1}\ncopied.2\\t{"n": 2}\n`);
  expect(await delivered(database)).toEqual(['copied.1', 'copied.2']);
});

/** psql is the plainest COPY there is; node-postgres has none of its own. */
async function copy(url: string, lines: string): Promise<void> {
  const psql = requires.program('psql');
  const { status, stderr } = spawnSync(
    psql,
    [url, '--no-psqlrc', '-v', 'ON_ERROR_STOP=1', '-c', 'copy outbox.events (type, payload) from stdin'],
    { input: lines.replaceAll('\\t', '\t'), encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
}

test('ON CONFLICT (id) DO NOTHING writes a repeated id once', async () => {
  const database = await databaseWith({ billing: {} });
  const insert = `insert into outbox.events (id, type, payload) values ($1, 'a', '{}') on conflict (id) do nothing`;
  const [{ id } = { id: '' }] = await database.rows<{ id: string }>('select outbox.uuid7() as id');
  const counts = [await database.pool.query(insert, [id]), await database.pool.query(insert, [id])];
  expect(counts.map(({ rowCount }) => rowCount)).toEqual([1, 0]);
  expect(await delivered(database)).toEqual(['a']);
});

test('the same id twice, without ON CONFLICT, is refused', async () => {
  const database = await databaseWith({ billing: {} });
  const insert = `insert into outbox.events (id, type, payload) values ($1, 'a', '{}')`;
  const [{ id } = { id: '' }] = await database.rows<{ id: string }>('select outbox.uuid7() as id');
  await database.pool.query(insert, [id]);
  await expect(database.pool.query(insert, [id])).rejects.toMatchObject({ code: '23505' });
  expect(await delivered(database)).toEqual(['a']);
});

test('a rolled-back transaction leaves no event, no delivery, no count of unrouted ones', async () => {
  const database = await databaseWith({ billing: {} }, `[{ match: 'a', to: [billing] }]`);
  const client = await session(database.url);
  await client.query('begin');
  await client.query(
    `insert into outbox.events (type, payload, dedup_key) values ('a', '{}', 'k'), ('unrouted', '{}', null)`,
  );
  await client.query('rollback');
  for (const table of ['events', 'deliveries', 'unrouted', 'event_dedup_keys']) {
    expect(await database.rows(`select * from outbox.${table}`)).toEqual([]);
  }
});

test('what a savepoint takes back is not delivered, the rest of its transaction is', async () => {
  const database = await databaseWith({ billing: {} });
  const client = await session(database.url);
  await client.query(`begin; insert into outbox.events (type, payload) values ('kept', '{}'); savepoint s`);
  await client.query(
    `insert into outbox.events (type, payload) values ('taken.back', '{}'); rollback to s; commit`,
  );
  expect(await delivered(database)).toEqual(['kept']);
});

test('producers in SERIALIZABLE transactions do not fail one another', async () => {
  const database = await databaseWith({ billing: {} });
  const clients = [await session(database.url), await session(database.url)];
  for (const client of clients) await client.query('begin isolation level serializable');
  for (const client of clients)
    await client.query(`insert into outbox.events (type, payload) values ('a', '{}')`);
  for (const client of clients) await client.query('commit');
  expect(await delivered(database)).toHaveLength(2);
});

test('numbers beyond 2^53 and decimals keep every digit', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const payload = '{"big": 123456789012345678901234567890, "tiny": 1.000000000000000000001, "price": 0.10}';
  await pool.query(`insert into outbox.events (type, payload) values ('a', $1)`, [payload]);
  expect(await rows('select payload::text from outbox.events')).toEqual([{ payload }]);
});

test('a UUIDv4 id is refused with what to do instead', async () => {
  const { pool } = await databaseWith({ billing: {} });
  for (const id of ['6f1f9c2e-2f0f-4d39-9d4c-0c4a9b6f2a11', '00000000-0000-0000-0000-000000000000']) {
    const refused = await pool
      .query(`insert into outbox.events (id, type, payload) values ($1, 'a', '{}')`, [id])
      .catch((error: Refusal) => error);
    expect(refused).toMatchObject({
      code: 'OB003',
      message: `outbox.events: id ${id} is not a UUIDv7 of our time`,
      hint: expect.stringContaining('dedup_key') as string,
    });
  }
});

test('a UUID of another version that has today’s time in it is refused by name', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  const [{ id } = { id: '' }] = await rows<{ id: string }>(
    `select overlay(outbox.uuid7()::text placing '4' from 15) as id`,
  );
  await expect(
    pool.query(`insert into outbox.events (id, type, payload) values ($1, 'a', '{}')`, [id]),
  ).rejects.toMatchObject({ code: '23514', constraint: 'events_id_is_uuid7' });
});

test('100,000 rows in one statement, and in one transaction of statements, are written in seconds', async (context) => {
  onlyWithEverything(context, 'volume');
  const database = await databaseWith(
    { billing: {}, audit: {} },
    `[{ match: 'order.*', to: [billing, audit] }]`,
  );
  const client = await session(database.url);
  const secondsOf = async (work: () => Promise<unknown>): Promise<number> => {
    const startedAt = performance.now();
    await work();
    return (performance.now() - startedAt) / 1000;
  };
  const rows = (n: number) =>
    `insert into outbox.events (type, payload, dedup_key)
     select 'order.created', jsonb_build_object('n', n), 'k' || clock_timestamp() || n from generate_series(1, ${n}) n`;
  const one = await secondsOf(() => client.query(rows(100_000)));
  const many = await secondsOf(async () => {
    await client.query('begin');
    for (let n = 0; n < 100; n += 1) await client.query(rows(100));
    await client.query('commit');
  });
  console.log(
    `100,000 rows to 2 destinations: ${one.toFixed(1)} s in one statement; 10,000 in 100 statements: ${many.toFixed(1)} s`,
  );
  expect(await database.rows('select count(*)::int as count from outbox.deliveries')).toEqual([
    { count: 220_000 },
  ]);
}, 120_000);
