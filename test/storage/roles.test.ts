import type pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { enqueue } from '../../src/index.ts';
import { acknowledge, finishAttempt, recordFailures, summarize } from '../../src/storage/attempts.ts';
import { holdLanes, leaveLanes, makePartitions, promoteDue } from '../../src/storage/claims.ts';
import { applyConfig, readDestinations, readSettings } from '../../src/storage/configuration.ts';
import { listDeadLetters, readDeadLetterEvent } from '../../src/storage/deadLetters.ts';
import { requireSchema } from '../../src/storage/migrate.ts';
import {
  adoptTemporal,
  batchesToCheck,
  bindTemporal,
  laneOfWorkflow,
  parkBatch,
} from '../../src/storage/recovery.ts';
import { prepareRevision, resolve } from '../../src/storage/resolutions.ts';
import {
  countDeliveries,
  countUnrouted,
  daysAhead,
  readLanes,
  readRelays,
} from '../../src/storage/status.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { TestDatabase } from '../support/index.ts';
import {
  claimedBatch,
  databaseWith,
  failure,
  rowsOfBatch,
  session,
  writeEvents,
  yamlOf,
  claimOpen,
} from './fixtures.ts';

type Role = 'outbox_producer' | 'outbox_relay' | 'outbox_operator';

async function as(role: Role, database: TestDatabase): Promise<pg.Client> {
  const client = await session(database.url);
  await client.query(`set role ${role}`);
  return client;
}

const forbidden = { code: '42501' };

describe('a producer', () => {
  let database: TestDatabase;
  let producer: pg.Client;
  beforeAll(async () => {
    database = await databaseWith({ billing: {} }, `[{ match: '*', where: '$.n > 0', to: [billing] }]`);
    producer = await as('outbox_producer', database);
  });

  test('inserts events and gets their ids, with every column of the contract', async () => {
    const { rows } = await producer.query<{ id: string }>(
      `insert into outbox.events (id, type, key, payload, headers, deliver_at, source, subject, content_type, dedup_key)
       values (outbox.uuid7(), 'a', 'k', '{"n": 1}', '{"x": "y"}', now(), 's', 't', 'text/plain', 'd') returning id`,
    );
    expect(rows).toHaveLength(1);
    const again = `insert into outbox.events (id, type, payload) values ($1, 'a', '{}') on conflict (id) do nothing returning id`;
    expect((await producer.query(again, [rows[0]?.id])).rowCount).toBe(0);
    expect(
      await database.rows('select state from outbox.deliveries where event_id = $1', [rows[0]?.id]),
    ).toEqual([{ state: 'pending' }]);
  });

  test('enqueues, from TypeScript and from SQL', async () => {
    expect((await enqueue(producer, { type: 'a', payload: { n: 1 }, dedupKey: 'e' })).inserted).toBe(true);
    expect((await enqueue(producer, { type: 'a', payload: { n: 1 }, dedupKey: 'e' })).inserted).toBe(false);
    await producer.query(`select outbox.enqueue('a', '{"n": 1}', key => 'k', dedup_key => 'f')`);
    expect(await database.rows(`select 1 from outbox.events where dedup_key in ('e', 'f')`)).toHaveLength(2);
  });

  test('sees of events what returning and on conflict need', async () => {
    expect(
      (await producer.query('select id, type, key, deliver_at from outbox.events')).rows.length,
    ).toBeGreaterThan(0);
  });

  test.each([
    'select payload from outbox.events',
    'select headers from outbox.events',
    'select * from outbox.events',
    `insert into outbox.events (type, payload) values ('a', '{}') returning payload`,
    `insert into outbox.events (type, payload, created_at) values ('a', '{}', now())`,
    `update outbox.events set type = 'b'`,
    'delete from outbox.events',
    'truncate outbox.events',
    `select 1 from outbox.events for update`,
    'do $$ begin lock table outbox.events in access exclusive mode; end $$',
    `create trigger t before insert on outbox.events execute function suppress_redundant_updates_trigger()`,
    'create table outbox.mine (x integer)',
    ...[
      'deliveries',
      'batches',
      'dead_letters',
      'attempts',
      'delivered',
      'destinations',
      'routes',
      'audit',
      'settings',
      'revisions',
    ].flatMap((table) => [`select * from outbox.${table}`, `delete from outbox.${table}`]),
    ...[
      'event_dedup_keys',
      'unrouted',
      'events_kept',
      'lanes',
      'relays',
      'config_revisions',
      'migrations',
      'retention',
      'housekeeping',
      'attempts_kept',
    ].map((table) => `select * from outbox.${table}`),
    `insert into outbox.deliveries (event_id, destination, seq, state) values (gen_random_uuid(), 'billing', 1, 'pending')`,
    `select nextval('outbox.delivery_seq')`,
    'select outbox.make_partitions()',
    `select outbox.acknowledge(gen_random_uuid(), 1, '{}', true)`,
    `select outbox.resolve('x', '{"action": "retry"}', 'signal')`,
    `select outbox.apply_config('{}', '', '', '')`,
    `select outbox.prepare_revision(gen_random_uuid(), 'billing', '1', null, null, null)`,
    `select outbox.adopt_temporal('x')`,
    `select * from outbox.claim(gen_random_uuid(), '{}', '{}', '1 s')`,
  ])('may not: %s', async (sql) => {
    await expect(producer.query(sql)).rejects.toMatchObject(forbidden);
  });

  test('may not write into a partition, past the routing', async () => {
    const [row] = await database.rows<{ name: string }>(
      `select relname as name from pg_class where relname = 'events_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')`,
    );
    expect(row).toBeDefined();
    await expect(
      producer.query(
        `insert into outbox.${row?.name} (id, type, payload) values (outbox.uuid7(), 'a', '{}')`,
      ),
    ).rejects.toMatchObject(forbidden);
  });

  test('cannot call the trigger’s function itself', async () => {
    await producer.query('create temp table mine (id uuid)');
    await expect(
      producer.query(
        'create trigger t after insert on mine for each statement execute function outbox.route_new_events()',
      ),
    ).rejects.toMatchObject(forbidden);
  });
});

test('the relay’s role does all that relay and worker do', async () => {
  const database = await databaseWith({ billing: {}, backup: {} });
  const relay = await as('outbox_relay', database);
  await requireSchema(relay);
  await readSettings(relay);
  expect((await readDestinations(relay)).destinations).toHaveLength(2);
  expect(await bindTemporal(relay, 'namespace')).toBe('namespace');
  await makePartitions(relay);
  const id = '00000000-0000-4000-8000-000000000001';
  expect((await holdLanes(relay, id, 'test', 60_000)).lanes).toHaveLength(2);
  await writeEvents(database.pool, 10);
  await promoteDue(relay, 10);
  const [batch] = await claimOpen(relay, id);
  const opened = batch?.opened?.batch;
  if (opened === undefined) throw new Error('nothing was claimed');
  const [first, second, third, ...others] = await rowsOfBatch(relay, opened.batchId);
  if (first === undefined || second === undefined || third === undefined) throw new Error('no rows');
  await acknowledge(
    relay,
    opened,
    others.map(({ seq }) => seq),
    true,
  );
  await recordFailures(
    relay,
    opened,
    [first, second, third].map((row) => failure(row, { park: 'exhausted' })),
  );
  const summary = await finishAttempt(relay, opened, [], { maxSingles: 200, keep: true });
  expect(summary?.singles).toHaveLength(3);
  await summarize(relay, batch?.workflowId ?? '', opened.batchId);

  const workflows = summary?.singles.map(({ workflowId }) => workflowId) ?? [];
  const commands = [
    { action: 'edit', payload: 1 },
    { action: 'redirect', to: 'backup' },
    { action: 'discard' },
  ] as const;
  for (const [index, command] of commands.entries()) {
    expect(await resolve(relay, workflows[index] ?? '', command, 'signal')).toMatchObject({
      outcome: 'done',
    });
  }
  expect(await batchesToCheck(relay, 0, 10)).toHaveLength(1);
  await laneOfWorkflow(relay, workflows[0] ?? '');
  expect(await parkBatch(relay, workflows[0] ?? '', 'terminated')).toBe(1);
  expect(await adoptTemporal(relay, 'another')).toBe(0);
  expect(await daysAhead(relay)).toBeGreaterThanOrEqual(8);
  await leaveLanes(relay, id);
});

test('the relay’s role changes no events, no destinations, no audit lines', async () => {
  const database = await databaseWith({ billing: {} });
  const relay = await as('outbox_relay', database);
  for (const sql of [
    `update outbox.events set payload = '{}'`,
    'delete from outbox.events',
    `insert into outbox.events (type, payload) values ('a', '{}')`,
    `update outbox.destinations set config = '{}'`,
    'delete from outbox.routes',
    'update outbox.audit set actor = null',
    'delete from outbox.audit',
    'delete from outbox.dead_letters',
    'update outbox.revisions set payload = null',
    'delete from outbox.migrations',
    `select outbox.apply_config('{}', '', '', '')`,
    'drop table outbox.deliveries',
  ]) {
    await expect(relay.query(sql), sql).rejects.toMatchObject(forbidden);
  }
});

test('an operator reads everything, prepares edits and applies configuration', async () => {
  const database = await databaseWith({ billing: {} });
  const batch = await claimedBatch(database.pool, 1);
  await parkBatch(database.pool, batch.workflowId, 'terminated');
  const operator = await as('outbox_operator', database);
  await requireSchema(operator);
  const [letter] = await listDeadLetters(operator, { status: 'open' }, null, 10);
  expect(letter).toMatchObject({ reason: 'terminated' });
  expect(await readDeadLetterEvent(operator, letter?.id ?? 0)).toMatchObject({ payloadText: '{"n": 1}' });
  const edit = {
    eventId: batch.events[0] ?? '',
    destination: 'billing',
    payload: '2',
    headers: null,
    actor: 'ada',
    reason: null,
  };
  expect(await prepareRevision(operator, edit)).toBe(2);
  await countDeliveries(operator);
  await readLanes(operator);
  await readRelays(operator);
  await countUnrouted(operator);
  expect(await daysAhead(operator)).toBeGreaterThanOrEqual(8);
  const text = `${yamlOf({ billing: {}, another: {} })}\nname: ${database.name}\n`;
  const { config } = parseConfig(text, { path: 'test.yaml', env: {} });
  expect(await applyConfig(operator, config, text, 'ada')).toMatchObject({ changed: true, destinations: 2 });
});

test('an operator changes nothing by hand', async () => {
  const database = await databaseWith({ billing: {} });
  await writeEvents(database.pool, 1);
  const operator = await as('outbox_operator', database);
  for (const sql of [
    `update outbox.deliveries set state = 'pending'`,
    'delete from outbox.deliveries',
    'select 1 from outbox.deliveries for update',
    `insert into outbox.revisions (event_id, destination, revision, payload, headers) values (gen_random_uuid(), 'billing', 2, '1', '{}')`,
    'delete from outbox.audit',
    `insert into outbox.audit (via, action, outcome, message) values ('x', 'retry', 'done', 'x')`,
    'update outbox.dead_letters set resolved_at = now()',
    'update outbox.destinations set paused_at = now()',
    `select outbox.resolve('x', '{"action": "retry"}', 'signal')`,
    `select outbox.acknowledge(gen_random_uuid(), 1, '{}', true)`,
    `update outbox.events set payload = '{}'`,
  ]) {
    await expect(operator.query(sql), sql).rejects.toMatchObject(forbidden);
  }
});
