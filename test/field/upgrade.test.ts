/**
 * A database as the first version left it, with rows in every state and nothing of it in Temporal any more, upgraded by the documented steps
 * (docs/upgrading.md) and carried on: nothing is lost, and what waited for a person still does.
 */
import { expect, test } from 'vitest';
import { createOperator } from '../../src/deadletter/operator.ts';
import { commitMessage } from '../../src/halfMessages/client.ts';
import { findDeadLetters } from '../../src/storage/deadLetters.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { connectTemporal } from '../../src/temporal/connect.ts';
import {
  applyTestConfig,
  atEnd,
  eventually,
  servers,
  startReceiver,
  startRun,
  uniqueName,
  type TestDatabase,
} from '../support/index.ts';
import { databaseBefore } from '../storage/fixtures.ts';

/** What 0.1.0 began with; every migration from here on is an upgrade of it. */
const first = 'paused-workflows';

const states = ['pending', 'scheduled', 'claimed', 'retry', 'parked', 'blocked'] as const;
type State = (typeof states)[number];

/** One event in each state, as the functions of that version left them; `blocked` waits behind `parked`. */
async function rowsInEveryState({ pool }: TestDatabase): Promise<Record<State, string>> {
  await pool.query(`insert into outbox.destinations (name, type, config, ordering, batch_maximum, batch_in_flight, split_up_to, config_revision)
    values ('billing', 'http', '{}', 'key', 1000, 2, 5, 1)`);
  const ids = {} as Record<State, string>;
  for (const state of states) {
    const { rows } = await pool.query<{ id: string }>(
      `insert into outbox.events (type, key, payload) values ('order.created', $1, jsonb_build_object('state', $2::text)) returning id`,
      [state === 'blocked' ? 'parked' : state, state],
    );
    const id = rows[0]?.id ?? '';
    ids[state] = id;
    const held = ['claimed', 'retry', 'parked'].includes(state);
    const batch = held
      ? await pool.query<{ id: string }>(
          `insert into outbox.batches (id, lane, workflow_id, size, open, active, epoch, claimed_at)
           select b.id, 'billing', 'deliver/' || b.id, 1, $1::int, $1 = 1, temporal_epoch, now() - interval '1 hour'
           from outbox.settings, outbox.uuid7() b(id) returning id`,
          [state === 'claimed' ? 1 : 0],
        )
      : undefined;
    const tries = state === 'retry' || state === 'parked' ? 3 : 0;
    await pool.query(
      `insert into outbox.deliveries (event_id, destination, seq, state, batch_id, tries, attempts, due_at, first_attempt_at, park_no, key)
       values ($1, 'billing', nextval('outbox.delivery_seq'), $2, $3, $4, $4,
               case when $2 in ('scheduled', 'retry') then now() + interval '2 seconds' end,
               case when $4 > 0 then now() - interval '1 hour' end, $5, $6)`,
      [
        id,
        state,
        batch?.rows[0]?.id ?? null,
        tries,
        state === 'parked' ? 1 : 0,
        state === 'blocked' ? 'parked' : state,
      ],
    );
  }
  // There was a route, and it took them.
  await pool.query('delete from outbox.unrouted');
  await pool.query(
    `insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries, last_status, last_error_class, last_error)
     select event_id, 'order.created', 'billing', 'deliver/' || batch_id, 1, 1, 'permanent', 3, 3, 422, 'http-422', 'it said no'
     from outbox.deliveries where event_id = $1`,
    [ids.parked],
  );
  return ids;
}

test('a database of the first version is upgraded with rows in every state, and all of them go on', async () => {
  const database: TestDatabase = await databaseBefore(first);
  const { pool, rows } = database;
  const ids = await rowsInEveryState(database);
  await pool.query(
    `insert into outbox.producers (name, config, grace, config_revision) values ('shop', '{}', '1 minute', 1)`,
  );
  const message = await pool.query<{ message_id: string }>(
    `select message_id from outbox.prepare_message('shop', 'order.created', '{"state": "half"}')`,
  );
  const halfId = message.rows[0]?.message_id ?? '';
  await pool.query(`insert into outbox.events (type, payload) values ('nobody.cares', '{}')`);

  await migrate(pool);
  // Its mark in Temporal must be none that another test has.
  await pool.query('update outbox.settings set name = $1', [database.name || uniqueName()]);
  await pool.query(`update outbox.batches set workflow_id = outbox.workflow_prefix() || workflow_id`);
  await pool.query(`update outbox.dead_letters set workflow_id = outbox.workflow_prefix() || workflow_id`);
  const before = await rows('select event_id, state, tries from outbox.deliveries order by event_id');
  expect(before).toHaveLength(states.length);
  const receiver = await startReceiver();
  const [named] = await rows<{ name: string }>('select name from outbox.settings');
  await applyTestConfig(
    { ...database, name: named?.name ?? '' },
    `
    destinations:
      billing: { type: http, url: '${receiver.url}', ordering: key }
    routes: [{ match: 'order.*', to: [billing] }]
    producers: { shop: { checkBack: { url: '${receiver.url}' } } }`,
  );
  await commitMessage(pool, halfId);
  await startRun({ databaseUrl: database.url });

  const arrive: State[] = ['pending', 'scheduled', 'claimed', 'retry'];
  await eventually(
    () => {
      for (const state of arrive) expect(receiver.of(ids[state]), state).toHaveLength(1);
      expect(receiver.requests.filter(({ body }) => body.toString().includes('half'))).toHaveLength(1);
    },
    { timeout: 60_000 },
  );
  // What waited for a person does, with its key behind it, until somebody decides.
  expect(receiver.of(ids.parked)).toEqual([]);
  expect(receiver.of(ids.blocked)).toEqual([]);
  const { temporalAddress, temporalNamespace } = servers();
  const temporal = await connectTemporal({
    address: temporalAddress,
    namespace: temporalNamespace,
    ignoreEnvironment: true,
  });
  atEnd(() => temporal.close());
  const operator = await createOperator({
    db: pool,
    temporal,
    name: named?.name ?? null,
    searchAttributes: false,
  });
  // Read anew each time: its batch, of one row, is just being split off into a workflow of its own.
  await eventually(async () => {
    const [letter] = await findDeadLetters(pool, [1]);
    if (letter === undefined) throw new Error('the dead letter is gone');
    expect(letter.cause).not.toBeNull();
    const answer = await operator.resolveDeadLetter(letter, { action: 'retry', actor: 'ann' });
    expect(answer).toMatchObject({ outcome: 'done' });
  });
  await eventually(
    () => {
      expect(receiver.of(ids.parked)).toHaveLength(1);
      expect(receiver.of(ids.blocked)).toHaveLength(1);
    },
    { timeout: 30_000 },
  );
  await eventually(async () => expect(await rows('select from outbox.deliveries')).toEqual([]));
  expect(
    await rows('select event_id from outbox.delivered where event_id = any ($1)', [Object.values(ids)]),
  ).toHaveLength(states.length);
  expect(await rows('select type from outbox.unrouted')).toEqual([{ type: 'nobody.cares' }]);
}, 150_000);

test('an index by key that was made by hand beforehand is taken by the migration', async () => {
  const { pool, rows } = await databaseBefore('events-of-a-key');
  const { rows: statements } = await pool.query<{ statement: string }>(
    `select format('create index concurrently if not exists %I on outbox.%I (key, id) where key is not null', c.relname || '_key_id_idx', c.relname) as statement
     from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'outbox.events'::regclass`,
  );
  for (const { statement } of statements) await pool.query(statement);
  const made = await rows<{ oid: number }>(
    `select c.oid from pg_class c where c.relname like 'events%_key_id_idx' order by 1`,
  );
  await migrate(pool);
  const attached = await rows<{ oid: number }>(
    `select inhrelid as oid from pg_inherits where inhparent = 'outbox.events_by_key'::regclass order by 1`,
  );
  expect(attached).toEqual(made);
  expect(made.length).toBeGreaterThan(30);
});
