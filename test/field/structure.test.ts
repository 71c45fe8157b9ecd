/** What the database lets pass in silence: tables without identity, sequences behind, events past the trigger. */
import { expect, test } from 'vitest';
import { enqueue } from '../../src/index.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import { findMissedEvents, routeMissedEvents } from '../../src/storage/missedEvents.ts';
import { settleRestored } from '../../src/storage/recovery.ts';
import { healSequences, sequencesBehind } from '../../src/storage/sequences.ts';
import { applyTestConfig, createTestDatabase, runCli, type TestDatabase } from '../support/index.ts';
import { databaseWith, session, writeEvents, yamlOf } from '../storage/fixtures.ts';

test('every table has an identity: partitions made later and the inbox’s too', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  await migrateInbox(pool);
  await pool.query('select outbox.make_partitions(0, 33)');
  const tables = await rows<{ name: string; identified: boolean }>(
    `select c.oid::regclass::text as name,
            c.relreplident = 'f' or c.relreplident = 'd' and exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
              or c.relreplident = 'i' as identified
     from pg_class c where c.relnamespace in ('outbox'::regnamespace, 'outbox_inbox'::regnamespace) and c.relkind in ('r', 'p')`,
  );
  expect(tables.length).toBeGreaterThan(100);
  expect(tables.filter(({ identified }) => !identified)).toEqual([]);
});

async function setBack(database: TestDatabase): Promise<void> {
  await database.pool.query(
    `select setval(c.oid, 1, false) from pg_class c where c.relnamespace = 'outbox'::regnamespace and c.relkind = 'S'`,
  );
}

test('sequences that a logical cut-over left at their beginning are named by doctor, and set above their tables', async () => {
  const database = await databaseWith({ billing: {} });
  const { pool, rows } = database;
  await writeEvents(pool, 3);
  await pool.query(`update outbox.deliveries set seq = 3000000000 + seq`);
  await pool.query(
    `insert into outbox.audit (via, action, outcome, message) select 'test', 'x', 'done', 'm' from generate_series(1, 5)`,
  );
  await setBack(database);
  await pool.query(`insert into outbox.events (type, payload) values ('late', '{}')`); // gets 1
  const behind = await sequencesBehind(pool);
  expect(behind.map(({ sequence }) => sequence)).toEqual(
    expect.arrayContaining(['audit_id_seq', 'delivery_seq', 'routes_id_seq']),
  );
  const { stdout } = await runCli(['doctor', '--json'], { databaseUrl: database.url });
  expect(JSON.parse(stdout)).toMatchObject({
    checks: expect.arrayContaining([
      expect.objectContaining({
        check: 'sequences',
        level: 'fail',
        found: expect.stringContaining('delivery_seq') as string,
      }),
    ]) as unknown[],
  });
  await healSequences(pool);
  expect(await sequencesBehind(pool)).toEqual([]);
  // What the low sequence numbered goes behind what was there, and new events behind that.
  await pool.query(`insert into outbox.events (type, payload) values ('later', '{}')`);
  const order = await rows<{ type: string; seq: string }>(
    `select e.type, d.seq from outbox.deliveries d join outbox.events e on e.id = d.event_id order by d.seq`,
  );
  expect(order.slice(-2).map(({ type }) => type)).toEqual(['late', 'later']);
  expect(Number(order.at(-2)?.seq)).toBeGreaterThan(3_000_000_003);
  await pool.query(
    `insert into outbox.audit (via, action, outcome, message) values ('test', 'x', 'done', 'm')`,
  );
});

test('sequences that gave nothing yet are not behind, looked after or not', async () => {
  const { pool } = await databaseWith({ billing: {} });
  expect(await healSequences(pool)).toEqual([]);
  expect(await sequencesBehind(pool)).toEqual([]);
});

test('outbox-sequence never goes back, although everything handed out is delivered and gone', async () => {
  const database = await databaseWith({ billing: {} });
  const { pool, rows } = database;
  await pool.query(`select setval('outbox.delivery_seq', 3000000000)`);
  await writeEvents(pool, 2);
  await healSequences(pool); // as every relay does at start and by the hour
  await pool.query('delete from outbox.deliveries');
  await setBack(database);
  await settleRestored(pool);
  await writeEvents(pool, 1);
  const [{ seq } = { seq: '0' }] = await rows<{ seq: string }>('select seq from outbox.deliveries');
  expect(Number(seq)).toBeGreaterThan(3_000_000_002);
});

const past = [
  ['session_replication_role', `set local session_replication_role = replica`, ''],
  [
    'a disabled trigger',
    'alter table outbox.events disable trigger route_new_events',
    'alter table outbox.events enable trigger route_new_events',
  ],
  [
    'all triggers disabled',
    'alter table outbox.events disable trigger all',
    'alter table outbox.events enable trigger all',
  ],
] as const;

test.each(past)('events written under %s are found and routed once', async (_how, before, after) => {
  const database = await databaseWith({ billing: {} });
  const { pool, rows } = database;
  await writeEvents(pool, 2); // seen by the trigger
  const client = await session(database.url);
  await client.query('begin');
  await client.query(before);
  await client.query(
    `insert into outbox.events (type, payload) select 'order.lost', '{}' from generate_series(1, 3);
     insert into outbox.events (type, payload) values ('other.lost', '{}')`,
  );
  if (after !== '') await client.query(after);
  await client.query('commit');

  expect(await findMissedEvents(pool, 5_000)).toMatchObject({
    events: 4,
    byType: [
      { type: 'order.lost', events: 3 },
      { type: 'other.lost', events: 1 },
    ],
    complete: true,
  });
  const options = { actor: 'ann', reason: 'replica' };
  expect(await routeMissedEvents(pool, options)).toEqual({ events: 4, deliveries: 4, refused: 0 });
  expect(await findMissedEvents(pool, 5_000)).toMatchObject({ events: 0 });
  expect(await routeMissedEvents(pool, options)).toEqual({ events: 0, deliveries: 0, refused: 0 });
  expect(await rows('select 1 from outbox.deliveries')).toHaveLength(6);
});

test('doctor and status count them, a command routes them', async () => {
  const database = await databaseWith({ billing: {} });
  const partition = `events_${new Date().toISOString().slice(0, 10).replaceAll('-', '')}`;
  // By the partition's own name: no statement trigger is there.
  await database.pool.query(`insert into outbox."${partition}" (type, payload) values ('order.lost', '{}')`);
  const at = { databaseUrl: database.url };
  const status = JSON.parse((await runCli(['status', '--json'], at)).stdout) as { missed: unknown };
  expect(status.missed).toMatchObject({ events: 1, byType: [{ type: 'order.lost', events: 1 }] });
  expect((await runCli(['doctor'], at)).stdout).toContain('order.lost (1)');
  const dry = await runCli(['routes', 'route-missed', '--dry-run', '--json'], at);
  expect(JSON.parse(dry.stdout)).toMatchObject({ events: 1 });
  const routed = await runCli(['routes', 'route-missed', '--json', '--reason', 'restore'], at);
  expect(JSON.parse(routed.stdout)).toEqual({ events: 1, deliveries: 1, refused: 0 });
  expect(await database.rows(`select action, events, reason from outbox.audit`)).toEqual([
    { action: 'route-missed', events: 1, reason: 'restore' },
  ]);
});

test('what was delivered, discarded, erased or found no route is not missed; unkept delivered rows make it unknown', async () => {
  const database = await databaseWith({ billing: {} });
  const { pool } = database;
  const [delivered, discarded, erased] = await writeEvents(pool, 3);
  await pool.query(
    `insert into outbox.delivered (event_id, destination, revision, tries) values ($1, 'billing', 1, 1)`,
    [delivered],
  );
  await pool.query(
    `insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries)
     values ($1, 'x', 'billing', 'w', 1, 1, 'permanent', 1, 1)`,
    [discarded],
  );
  await pool.query(`select outbox.erase(array[$1]::uuid[], 'ann', 'cli', null)`, [erased]);
  await pool.query('delete from outbox.deliveries');
  expect(await findMissedEvents(pool, 5_000)).toMatchObject({ events: 0 });

  await pool.query('delete from outbox.delivered');
  expect(await findMissedEvents(pool, 5_000)).toMatchObject({ events: 1 });
  await applyTestConfig(database, `${yamlOf({ billing: {} })}retention: { delivered: 0 }\n`);
  expect(await findMissedEvents(pool, 5_000)).toMatchObject({ events: 0, since: null });
  // Kept again, it is known again only of what comes from then on.
  await applyTestConfig(database, `${yamlOf({ billing: {} })}retention: { delivered: 7d }\n`);
  expect(await findMissedEvents(pool, 5_000)).toMatchObject({ events: 0 });
});

test('a missing or disabled trigger and row security are named by doctor', async () => {
  const database = await databaseWith({ billing: {} });
  const doctor = async (): Promise<string> =>
    (await runCli(['doctor'], { databaseUrl: database.url })).stdout;
  await database.pool.query(`alter table outbox.events enable replica trigger route_new_events`);
  await database.pool.query('alter table outbox.deliveries enable row level security');
  const found = await doctor();
  expect(found).toContain('fires for replicated rows alone');
  expect(found).toContain('no policy that lets our roles see a row: outbox.deliveries');
  await database.pool.query(`drop trigger route_new_events on outbox.events`);
  await database.pool.query('create policy ours on outbox.deliveries using (true)');
  const later = await doctor();
  expect(later).toContain('route_new_events is missing');
  expect(later).toContain('only as good as its policies: outbox.deliveries');
});

test('a dedup key outlives its event: the same content is a repeat, other content an error', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const first = { type: 'order.created', payload: { total: 1 }, dedupKey: 'order-1' };
  const { id } = await enqueue(pool, first, { ownTransaction: true });
  await pool.query(
    `insert into outbox.events (type, payload, dedup_key) values ('order.created', '{"total": 2}', 'order-2')`,
  );
  // As when their day is dropped.
  await pool.query('delete from outbox.deliveries');
  await pool.query('delete from outbox.events');
  expect(await enqueue(pool, first, { ownTransaction: true })).toEqual({ id, inserted: false });
  expect(
    await enqueue(pool, { ...first, deliverAt: new Date(Date.now() + 60_000) }, { ownTransaction: true }),
  ).toEqual({
    id,
    inserted: false,
  });
  expect(
    await enqueue(pool, { ...first, payload: { total: 2 }, dedupKey: 'order-2' }, { ownTransaction: true }),
  ).toMatchObject({
    inserted: false,
  });
  for (const other of [
    { ...first, payload: { total: 2 } },
    { ...first, type: 'order.changed' },
    { ...first, key: 'k' },
    { ...first, headers: { a: 'b' } },
    { ...first, source: 's' },
    { ...first, contentType: 'application/cloudevents+json' },
    { ...first, dedupKey: 'order-2' },
  ])
    await expect(enqueue(pool, other, { ownTransaction: true })).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_CONFLICT',
    });
});

test('a dedup key of before digests were kept refuses rather than swallows', async () => {
  const { pool } = await databaseWith({ billing: {} });
  const first = { type: 'order.created', payload: { total: 1 }, dedupKey: 'order-1' };
  await enqueue(pool, first, { ownTransaction: true });
  await pool.query('update outbox.event_dedup_keys set digest = null');
  expect(await enqueue(pool, first, { ownTransaction: true })).toMatchObject({ inserted: false });
  await pool.query('delete from outbox.deliveries');
  await pool.query('delete from outbox.events');
  await expect(enqueue(pool, first, { ownTransaction: true })).rejects.toMatchObject({
    code: 'OUTBOX_EVENT_CONFLICT',
  });
});

test('without a partition for today a producer learns what is missing and who makes it, and each of them does', async () => {
  const database = await createTestDatabase();
  const { pool } = database;
  await applyTestConfig(database, yamlOf({ billing: {} }));
  const today = new Date().toISOString().slice(0, 10);
  const partition = `events_${today.replaceAll('-', '')}`;
  for (const args of [
    ['housekeeping', 'run', '--json'],
    ['migrate', '--json'],
  ]) {
    await pool.query(`drop table outbox."${partition}"`);
    await expect(
      enqueue(pool, { type: 'order.created', payload: {} }, { ownTransaction: true }),
    ).rejects.toMatchObject({
      code: 'OUTBOX_PARTITION_MISSING',
      message: `outbox.events has no partition for ${today}`,
      hint: expect.stringMatching(/run .*housekeeping run .*migrate/) as string,
    });
    const { stdout } = await runCli(['doctor'], { databaseUrl: database.url });
    expect(stdout).toContain('none for today');
    expect((await runCli(args, { databaseUrl: database.url })).code).toBe(0);
    await enqueue(pool, { type: 'order.created', payload: {} }, { ownTransaction: true });
  }
});
