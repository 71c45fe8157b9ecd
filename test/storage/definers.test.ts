/** Functions that act with their owner's rights must not be led astray by their caller. */
import { expect, test } from 'vitest';
import { prepareRevision } from '../../src/storage/resolutions.ts';
import { enqueue } from '../../src/index.ts';
import { claimedBatch, databaseWith, session } from './fixtures.ts';

interface OutboxFunction {
  readonly name: string;
  readonly owner: string;
  readonly superuser: boolean;
  readonly definer: boolean;
  readonly settings: string[] | null;
  readonly open: boolean;
}

async function functions(): Promise<OutboxFunction[]> {
  const { rows } = await databaseWith({ billing: {} });
  return rows<OutboxFunction>(
    `select p.oid::regprocedure::text as name, r.rolname as owner, r.rolsuper as superuser, p.prosecdef as definer,
            p.proconfig as settings,
            exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0) as open
     from pg_proc p join pg_roles r on r.oid = p.proowner where p.pronamespace = 'outbox'::regnamespace order by 1`,
  );
}

test('functions belong to the migrator, who is no superuser and cannot log in', async () => {
  const all = await functions();
  expect(all.length).toBeGreaterThan(30);
  expect(all.filter(({ owner, superuser }) => owner !== 'outbox_migrator' || superuser)).toEqual([]);
  const { rows } = await databaseWith({ billing: {} });
  expect(await rows(`select rolcanlogin, rolsuper from pg_roles where rolname = 'outbox_migrator'`)).toEqual([
    { rolcanlogin: false, rolsuper: false },
  ]);
});

test('tables belong to the migrator too, partitions made later included', async () => {
  const { pool, rows } = await databaseWith({ billing: {} });
  await pool.query('select outbox.make_partitions(0, 31)');
  expect(
    await rows(
      `select c.relname from pg_class c join pg_roles r on r.oid = c.relowner
       where c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'p', 'S') and r.rolname <> 'outbox_migrator'`,
    ),
  ).toEqual([]);
});

test('those that act with their owner’s rights are the few known ones, with a search path of their own', async () => {
  const definers = (await functions()).filter(({ definer }) => definer);
  expect(definers.map(({ name }) => name.replace(/\(.*/, ''))).toEqual([
    'outbox.accept_home',
    'outbox.adopt_temporal',
    'outbox.advance_redrive',
    'outbox.announce_command',
    'outbox.api_settings',
    'outbox.apply_config',
    'outbox.bind_home',
    'outbox.bind_temporal',
    'outbox.check_encrypted',
    'outbox.check_encrypted_edit',
    'outbox.check_prepared',
    'outbox.command_redrive',
    'outbox.commit_message',
    'outbox.commit_messages',
    'outbox.days_ahead',
    'outbox.deliveries_for_audit',
    'outbox.drop_detached',
    'outbox.drop_partition_briefly',
    'outbox.end_redrive',
    'outbox.enqueue_all',
    'outbox.erase',
    'outbox.events_of_key',
    'outbox.finish_detach',
    'outbox.freeze_redrive',
    'outbox.freeze_replay',
    'outbox.heal_sequences',
    'outbox.keep_unsettled',
    'outbox.look_for_alerts',
    'outbox.make_mark',
    'outbox.make_partitions',
    'outbox.make_token',
    'outbox.meaning_of',
    'outbox.message_state',
    'outbox.note_cause',
    'outbox.note_command',
    'outbox.note_flow',
    'outbox.note_lags',
    'outbox.note_look',
    'outbox.oldest_transaction_seconds',
    'outbox.partitions_past_retention',
    'outbox.prepare_message',
    'outbox.prepare_messages',
    'outbox.prepare_revision',
    'outbox.purge',
    'outbox.purge_replays',
    'outbox.readdress_command',
    'outbox.redrive_now',
    'outbox.redrive_sample',
    'outbox.redrive_standing',
    'outbox.redrive_untold',
    'outbox.release_replay',
    'outbox.resolve_messages',
    'outbox.resolve_messages_here',
    'outbox.revoke_token',
    'outbox.rollback_message',
    'outbox.rollback_messages',
    'outbox.route_events',
    'outbox.route_missed',
    'outbox.route_new_events',
    'outbox.second_person',
    'outbox.second_said',
    'outbox.sender_of',
    'outbox.sequences_behind',
    'outbox.settle_checks',
    'outbox.settle_restored',
    'outbox.silent_redrives',
    'outbox.waiting_for_second',
    'outbox.why_not_allowed',
  ]);
  for (const { name, settings } of definers) {
    expect(settings, name).toContain('search_path=pg_catalog, outbox, pg_temp');
  }
});

test('nobody may execute anything by default', async () => {
  expect((await functions()).filter(({ open }) => open)).toEqual([]);
});

/** What somebody could put in the way: tables, functions and operators of the names that our functions use. */
const traps = `
  create schema trap;
  grant all on schema trap to outbox_producer, outbox_operator;
  create function trap.now() returns timestamptz language plpgsql as 'begin raise exception ''trapped''; end';
  create function trap.uuid7() returns uuid language plpgsql as 'begin raise exception ''trapped''; end';
  create function trap.nextval(text) returns bigint language plpgsql as 'begin raise exception ''trapped''; end';
  create function trap.octet_length(text) returns integer language plpgsql as 'begin raise exception ''trapped''; end';
  create function trap.trapped(text, text) returns boolean language plpgsql as 'begin raise exception ''trapped''; end';
  create operator trap.~~ (leftarg = text, rightarg = text, function = trap.trapped);
  create operator trap.= (leftarg = text, rightarg = text, function = trap.trapped);
  create table trap.destinations (like outbox.destinations);
  create table trap.routes (like outbox.routes);
  create table trap.deliveries (like outbox.deliveries);
  create table trap.new_events (like outbox.events);
  create table trap.revisions (like outbox.revisions);
  grant all on all tables in schema trap to outbox_producer, outbox_operator`;

const temporary = `
  create temp table destinations (like outbox.destinations);
  create temp table routes (like outbox.routes);
  create temp table deliveries (like outbox.deliveries);
  create temp table new_events (like outbox.events);
  create temp table event_dedup_keys (like outbox.event_dedup_keys);
  create temp table revisions (like outbox.revisions)`;

test('a producer’s search path and temporary tables do not lead the routing astray', async () => {
  const database = await databaseWith({ billing: {} });
  await database.pool.query(traps);
  const producer = await session(database.url);
  await producer.query(temporary);
  await producer.query('grant all on all tables in schema pg_temp to public');
  await producer.query('set role outbox_producer; set search_path = trap, pg_temp, outbox, pg_catalog');
  await producer.query(`insert into outbox.events (type, payload, dedup_key) values ('plain', '{}', 'a')`);
  await enqueue(producer, { type: 'enqueued', payload: 1, dedupKey: 'b' });
  await producer.query(`select outbox.enqueue('called', '{}')`);
  expect(
    await database.rows(
      'select e.type, d.destination from outbox.deliveries d join outbox.events e on e.id = d.event_id order by d.seq',
    ),
  ).toEqual(['plain', 'enqueued', 'called'].map((type) => ({ type, destination: 'billing' })));
  expect(await database.rows('select 1 from outbox.event_dedup_keys')).toHaveLength(2);
});

test('an operator’s search path does not lead prepare_revision astray', async () => {
  const database = await databaseWith({ billing: {} });
  const { events } = await claimedBatch(database.pool, 1);
  await database.pool.query(traps);
  const operator = await session(database.url);
  await operator.query(temporary);
  await operator.query('grant all on all tables in schema pg_temp to public');
  await operator.query('set role outbox_operator; set search_path = trap, pg_temp, outbox, pg_catalog');
  const edit = {
    eventId: events[0] ?? '',
    destination: 'billing',
    payload: '2',
    headers: null,
    actor: null,
    reason: null,
  };
  expect(await prepareRevision(operator, edit)).toBe(2);
  expect(await database.rows('select payload from outbox.revisions')).toEqual([{ payload: 2 }]);
});
