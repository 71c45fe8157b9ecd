import { beforeAll, describe, expect, test } from 'vitest';
import { advance, type AdvanceOptions } from '../../src/inbox/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/index.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
  await database.pool.query(`
    create type stage as enum ('new', 'paid', 'shipped');
    create table orders (id text, state stage, paid_at timestamptz, note text);
    create schema "odd one";
    create table "odd one"."a ""table"".x" ("the id" int primary key, "its; state" text);`);
});

let count = 0;
async function order(state: string | null): Promise<string> {
  const id = `o-${++count}`;
  await database.pool.query('insert into orders values ($1, $2)', [id, state]);
  return id;
}

const move = (id: unknown, from: AdvanceOptions['from'], to: string, more: Partial<AdvanceOptions> = {}) =>
  advance(database.pool, { table: 'orders', id, from, to, ...more });

test('each answer is what became of the row', async () => {
  const id = await order('new');
  expect(await move(id, 'new', 'paid')).toEqual({ outcome: 'advanced', from: 'new' });
  expect(await move(id, 'new', 'paid')).toEqual({ outcome: 'already-there' });
  expect(await move(id, 'new', 'shipped')).toEqual({ outcome: 'elsewhere', state: 'paid' });
  expect(await move(id, ['new', 'paid'], 'shipped')).toEqual({ outcome: 'advanced', from: 'paid' });
  expect(await move('nobody', 'new', 'paid')).toEqual({ outcome: 'missing' });
  expect(await move(await order(null), 'new', 'paid')).toEqual({ outcome: 'elsewhere', state: null });
  expect(await database.rows('select state from orders where id = $1', [id])).toEqual([{ state: 'shipped' }]);
});

test('further columns are set in the same statement, and only when the row advances', async () => {
  const id = await order('new');
  const set = { paid_at: new Date(0), note: `it's "paid"` };
  await move(id, 'new', 'paid', { set });
  await move(id, 'new', 'paid', { set: { note: 'again' } });
  expect(await database.rows('select paid_at, note from orders where id = $1', [id])).toEqual([set]);
});

test.each(['read committed', 'repeatable read'])('of twins under %s one advances', async (isolation) => {
  const id = await order('new');
  const twins = Array.from({ length: 8 }, async () => {
    const client = await database.pool.connect();
    try {
      for (;;) {
        await client.query(`begin isolation level ${isolation}`);
        try {
          const answer = await advance(client, { table: 'orders', id, from: 'new', to: 'paid' });
          await client.query('commit');
          return answer.outcome;
        } catch (error) {
          await client.query('rollback');
          if ((error as { code?: string }).code !== '40001') throw error;
        }
      }
    } finally {
      client.release();
    }
  });
  expect((await Promise.all(twins)).sort()).toEqual(['advanced', ...Array<string>(7).fill('already-there')]);
});

test('any name that PostgreSQL can have stands for itself', async () => {
  await database.pool.query(`insert into "odd one"."a ""table"".x" values (7, 'a')`);
  const options = { id: 7, idColumn: 'the id', stateColumn: 'its; state', from: 'a', to: 'b' };
  const table = ['odd one', 'a "table".x'] as const;
  expect(await advance(database.pool, { ...options, table })).toEqual({ outcome: 'advanced', from: 'a' });
  expect(
    await advance(database.pool, { table: 'public.orders', id: await order('new'), from: 'new', to: 'paid' }),
  ).toMatchObject({ outcome: 'advanced' });
});

describe('refused, with nothing changed', () => {
  test.each<[string, Partial<AdvanceOptions>]>([
    ['an empty table', { table: '' }],
    ['a table with too many dots', { table: 'a.b.c' }],
    ['a table that is no name', { table: 7 as never }],
    ['a name with NUL', { stateColumn: 'a\0' }],
    ['a name of 64 bytes', { idColumn: 'x'.repeat(64) }],
    ['no state to come from', { from: [] }],
    ['a state that is no text', { from: [1] as never }],
    ['from and to alike', { from: ['new', 'paid'], to: 'paid' }],
    ['no state to go to', { to: undefined as never }],
  ])('%s', async (_, wrong) => {
    await expect(move('o-1', 'new', 'paid', wrong)).rejects.toMatchObject({ code: 'OUTBOX_INBOX_INVALID' });
  });

  test('names cannot end their quotes', async () => {
    for (const wrong of [
      { table: 'orders" set note = 1; --' },
      { stateColumn: "state\" = 'paid' --" },
      { set: { 'note" = 1 --': 'x' } },
    ])
      await expect(move('o-1', 'new', 'paid', wrong)).rejects.toMatchObject({
        code: expect.stringMatching(/^42(P01|703)$/) as string,
      });
  });

  test('an id that several rows have', async () => {
    const id = await order('new');
    await database.pool.query('insert into orders values ($1, $2)', [id, 'new']);
    await expect(move(id, 'new', 'paid')).rejects.toThrow('found 2');
    expect(await database.rows('select distinct state from orders where id = $1', [id])).toEqual([
      { state: 'new' },
    ]);
  });
});
