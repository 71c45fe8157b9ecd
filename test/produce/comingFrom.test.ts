/** The SQL of docs/coming-from runs as it stands, beside a table as the reader has it. */
import { expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/index.ts';
import { readPages } from '../docs/pages.ts';

const pages = await readPages();

async function runBlocks(path: string, database: TestDatabase): Promise<void> {
  const page = pages.find((each) => each.path === path);
  const blocks = page?.blocks.filter(({ language }) => language === 'sql') ?? [];
  expect(blocks.length).toBeGreaterThan(0);
  for (const { text } of blocks) await database.pool.query(text);
}

test('graphile-worker: a job later becomes an event that waits', async () => {
  const database = await createTestDatabase();
  await runBlocks('docs/coming-from/graphile-worker.md', database);
  expect(await database.rows(`select key, deliver_at > now() as later from outbox.events`)).toEqual([
    { key: 'o-2', later: true },
  ]);
});

test("Debezium: a trigger turns rows of the router's table into events", async () => {
  const database = await createTestDatabase();
  await database.pool.query(
    'create table public.outbox (id uuid, aggregatetype text, aggregateid text, type text, payload jsonb)',
  );
  await runBlocks('docs/coming-from/debezium.md', database);
  await database.pool.query(
    `insert into public.outbox values (gen_random_uuid(), 'order', 'o-1', 'order.paid', '{"n": 1}')`,
  );
  expect(await database.rows('select type, key, source, payload from outbox.events')).toEqual([
    { type: 'order.paid', key: 'o-1', source: 'order', payload: { n: 1 } },
  ]);
});

test('a hand-written outbox: what is old and open goes over once, what is new by the trigger', async () => {
  const database = await createTestDatabase();
  await database.pool.query(
    'create table public.my_outbox (id bigint, topic text, aggregate_id bigint, body jsonb, processed_at timestamptz)',
  );
  await database.pool.query(
    `insert into public.my_outbox values (1, 'a.done', 7, '{}', now()), (2, 'a.open', 7, '{}', null)`,
  );
  await runBlocks('docs/coming-from/hand-written-outbox.md', database);
  await database.pool.query(`insert into public.my_outbox values (3, 'a.new', 7, '{}', null)`);
  expect(await database.rows('select type, dedup_key from outbox.events order by id')).toEqual([
    { type: 'a.open', dedup_key: 'old-outbox/2' },
    { type: 'a.new', dedup_key: 'old-outbox/3' },
  ]);
});
