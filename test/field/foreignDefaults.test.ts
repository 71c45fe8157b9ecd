/** Nothing of ours depends on the defaults of the role or the database. */
import pg from 'pg';
import { expect, test } from 'vitest';
import { connect, inTransaction, rowsOf } from '../../src/storage/connect.ts';
import { applyTestConfig, eventually } from '../support/index.ts';
import { hostile } from './hostileDefaults.ts';
import { startPooler } from './pooler.ts';
import { expectOnceEach, openField, produce } from './stage.ts';

test.for(['repeatable read', 'serializable'])(
  'with %s as the default isolation plain and keyed events are delivered',
  async (isolation) => {
    const stage = await openField([`default_transaction_isolation = '${isolation}'`], 'ordering: key');
    const ids = await produce(stage.database, 20, 500);
    const keyed = await stage.database.rows<{ id: string }>(
      `insert into outbox.events (type, key, payload) select 'order.created', 'k' || n % 3, '{}' from generate_series(1, 9) n returning id`,
    );
    await expectOnceEach(stage, [...ids, ...keyed.map(({ id }) => id)]);
    expect(await stage.readiness()).toMatchObject({ ok: true });
  },
);

test('under the worst defaults of a role events are delivered, retried and parked as ever', async () => {
  const stage = await openField(
    hostile,
    'retry: { initialInterval: 100ms, maximumAttempts: 2, nonRetryableStatusCodes: [422] }',
  );
  const { database, receiver } = stage;
  receiver.answer(({ attempt }) => (attempt === 1 ? 500 : 204));
  const ids = await produce(database, 20, 500);
  await eventually(
    async () => {
      const [row] = await database.rows<{ n: number }>('select count(*)::int as n from outbox.delivered');
      expect(row?.n).toBe(ids.length);
    },
    { timeout: 30_000 },
  );
  receiver.answer(422);
  await produce(database, 20, 100);
  await eventually(
    async () =>
      expect(await database.rows('select reason from outbox.dead_letters limit 1')).toEqual([
        { reason: 'permanent' },
      ]),
    { timeout: 30_000 },
  );
  expect((await stage.readiness()).text).toContain('"ok":true');
});

test('under the worst defaults of a producer its events are written and routed', async () => {
  const stage = await openField();
  const { database } = stage;
  await database.rows(`grant outbox_producer to ${stage.role}`);
  for (const setting of hostile.filter((each) => !/read_only|timeout|exit_on_error/.test(each)))
    await database.rows(`alter role ${stage.role} set ${setting}`);
  const producer = new pg.Client(stage.url);
  producer.on('error', () => undefined);
  await producer.connect();
  const { rows } = await producer.query<{ id: string }>(
    `select outbox.enqueue('order.created', '{"a": 1}') as id`,
  );
  const more = await producer.query<{ id: string }>(
    `insert into outbox.events (type, payload, deliver_at) values ('order.created', '{}', now() + interval '1 s') returning id`,
  );
  await producer.end();
  await expectOnceEach(
    stage,
    [...rows, ...more.rows].map(({ id }) => id),
  );
});

test('an acknowledgement waits for the disk though the role does not', async () => {
  const stage = await openField(['synchronous_commit = off']);
  const pool = connect(stage.url, { max: 1 });
  const { rows } = await pool.query<{ synchronous_commit: string }>('show synchronous_commit');
  await pool.end();
  expect(rows).toEqual([{ synchronous_commit: 'on' }]);
});

test('where startup options are refused, each transaction says what it needs, and no session is changed', async () => {
  const stage = await openField([
    `default_transaction_isolation = 'repeatable read'`,
    `statement_timeout = '2s'`,
    `search_path = 'nowhere'`,
  ]);
  const pooler = await startPooler(stage.url, { takesOptions: false });
  const pool = connect(pooler.url, { max: 1 });
  const shown = (name: string) =>
    pool.query(`select current_setting('${name}') as value`).then(({ rows }) => rows[0] as { value: string });
  expect(await shown('transaction_isolation')).toEqual({ value: 'read committed' });
  expect(await shown('statement_timeout')).toEqual({ value: '58s' });
  const inside = await inTransaction(pool, (client) =>
    rowsOf<{ search_path: string }>(client, 'show search_path'),
  );
  expect(inside).toEqual([{ search_path: '"$user", public' }]);
  const client = await pool.connect();
  expect((await client.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '2s' }]);
  client.release();
  await pool.end();
});

test('what is wrong with one lane keeps no other from being claimed, and is not ready', async () => {
  const stage = await openField();
  const { database, receiver } = stage;
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${receiver.url}' }
      audit: { type: http, url: '${receiver.url}' }
    routes: [{ match: 'order.*', to: [billing] }, { match: 'audit.*', to: [audit] }]`,
  );
  await database.rows(`create function public.refuse_lane() returns trigger language plpgsql as $$
    begin if new.lane = 'audit' then raise exception 'not this lane'; end if; return new; end $$`);
  await database.rows(
    'create trigger refuse_lane before insert on outbox.batches for each row execute function public.refuse_lane()',
  );
  await database.rows(`insert into outbox.events (type, payload) values ('audit.noted', '{}')`);
  await eventually(
    async () => expect((await stage.readiness()).text).toContain('nothing of audit is claimed'),
    {
      timeout: 20_000,
    },
  );
  expect((await stage.readiness()).text).toContain('not this lane');
  const ids = await produce(database, 20, 1_000);
  await eventually(
    async () => {
      const [row] = await database.rows<{ n: number }>('select count(*)::int as n from outbox.delivered');
      expect(row?.n).toBe(ids.length);
    },
    { timeout: 20_000 },
  );
  await database.rows('drop trigger refuse_lane on outbox.batches');
  await expectOnceEachAfter(stage, ids.length + 1);
});

async function expectOnceEachAfter(
  stage: Awaited<ReturnType<typeof openField>>,
  count: number,
): Promise<void> {
  await eventually(
    async () => {
      const [row] = await stage.database.rows<{ n: number }>(
        'select count(*)::int as n from outbox.delivered',
      );
      expect(row?.n).toBe(count);
      expect(await stage.readiness()).toMatchObject({ ok: true });
    },
    { timeout: 20_000 },
  );
}
