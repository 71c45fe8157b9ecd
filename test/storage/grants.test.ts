/** Who may do what, whole: nothing is open that the table in grants.ts does not name. */
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { migrateInbox } from '../../src/inbox/index.ts';
import { atEnd, uniqueName, type TestDatabase } from '../support/index.ts';
import { databaseWith } from './fixtures.ts';
import { grants } from './grants.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWith({ billing: {} });
  await migrateInbox(database.pool);
});

const names = (list: string): string[] => list.split(/\s+/).filter((name) => name !== '');

async function functionsOf(role: string, schema = 'outbox'): Promise<string[]> {
  const rows = await database.rows<{ name: string }>(
    `select distinct p.proname as name from pg_proc p where p.pronamespace = $2::regnamespace
     and has_function_privilege($1, p.oid, 'execute') order by 1`,
    [role, schema],
  );
  return rows.map(({ name }) => name);
}

/** `table: PRIVILEGE, PRIVILEGE(column, …)`, of tables, partitions and sequences alike. */
async function tablesOf(role: string, schema = 'outbox'): Promise<string[]> {
  const rows = await database.rows<{ line: string }>(
    `select relname || ': ' || string_agg(may, ', ' order by may) as line from (
       select c.relname, a.privilege_type as may
       from pg_class c cross join lateral aclexplode(c.relacl) a
       where c.relnamespace = $2::regnamespace and a.grantee = $1::regrole
       union all
       select c.relname, a.privilege_type || '(' || string_agg(t.attname, ', ' order by t.attname) || ')'
       from pg_class c join pg_attribute t on t.attrelid = c.oid cross join lateral aclexplode(t.attacl) a
       where c.relnamespace = $2::regnamespace and a.grantee = $1::regrole group by c.relname, a.privilege_type
     ) granted group by relname order by 1`,
    [role, schema],
  );
  return rows.map(({ line }) => line);
}

describe.each(Object.entries(grants))('%s', (role, { functions, tables, reads }) => {
  test('executes what it calls, and nothing else', async () => {
    expect(await functionsOf(role)).toEqual(names(functions));
  });

  test('reads and writes what its programs do, and nothing else', async () => {
    const whole = new Set(names(reads));
    const lines = tables.map((line) => {
      const [table = '', may = ''] = line.split(/: (.*)/);
      return whole.delete(table) ? `${table}: ${insertSorted(may, 'SELECT')}` : line;
    });
    const expected = [...lines, ...[...whole].map((table) => `${table}: SELECT`)].sort();
    expect((await tablesOf(role)).sort()).toEqual(expected);
  });

  test('uses the schema and makes nothing in it', async () => {
    const [row] = await database.rows(
      `select has_schema_privilege($1, 'outbox', 'usage') as usage, has_schema_privilege($1, 'outbox', 'create') as create`,
      [role],
    );
    expect(row).toEqual({ usage: true, create: false });
  });
});

function insertSorted(may: string, privilege: string): string {
  const parts = [...may.split(/, (?![^(]*\))/), privilege];
  return parts.sort().join(', ');
}

test('a consumer executes what its inbox calls, and forgets and deletes no message', async () => {
  expect(await functionsOf('outbox_consumer', 'outbox_inbox')).toEqual(
    names(`applied begin_alone begin_attempts claim due end_attempt extend forget_attempts id_of keep keep_on
      make_partitions resolve_parked spoil take uuid7_floor uuid7_time week_of`),
  );
  expect(await tablesOf('outbox_consumer', 'outbox_inbox')).toEqual([
    'attempts: DELETE, INSERT, SELECT, UPDATE',
    'messages: INSERT, SELECT, UPDATE',
    'migrations: SELECT',
    'parked: INSERT, SELECT, UPDATE',
    'parked_audit: INSERT, SELECT',
    'settings: SELECT',
  ]);
});

test.each(['outbox', 'outbox_inbox'])('everybody may do nothing in %s', async (schema) => {
  const open = await database.rows(
    `select p.proname as name from pg_proc p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
     where p.pronamespace = $1::regnamespace and a.grantee = 0
     union all
     select c.relname from pg_class c cross join lateral aclexplode(c.relacl) a where c.relnamespace = $1::regnamespace and a.grantee = 0
     union all
     select n.nspname from pg_namespace n cross join lateral aclexplode(n.nspacl) a where n.oid = $1::regnamespace and a.grantee = 0`,
    [schema],
  );
  expect(open).toEqual([]);
});

test.each(['outbox_migrator', 'outbox_inbox_owner'])(
  'a function that %s makes later is open to nobody',
  async (owner) => {
    const schema = owner === 'outbox_migrator' ? 'outbox' : 'outbox_inbox';
    const client = await database.pool.connect();
    try {
      await client.query(`begin; set local role ${owner}`);
      await client.query(`create function ${schema}.made_later() returns integer language sql as 'select 1'`);
      await client.query('reset role');
      const { rows } = await client.query(
        `select rolname from pg_roles where rolname in ('outbox_producer', 'outbox_api', 'outbox_relay', 'outbox_operator',
           'outbox_consumer', 'pg_monitor') and has_function_privilege(rolname, '${schema}.made_later()', 'execute')`,
      );
      expect(rows).toEqual([]);
    } finally {
      await client.query('rollback');
      client.release();
    }
  },
);

test('functions that act with their owner’s rights keep to their own search path, temporary tables last', async () => {
  expect(
    await database.rows(
      `select p.oid::regprocedure::text as name, p.proconfig from pg_proc p
       where p.pronamespace in ('outbox'::regnamespace, 'outbox_inbox'::regnamespace) and p.prosecdef
         and not exists (select from unnest(p.proconfig) c where c ~ '^search_path=pg_catalog, .*pg_temp$')`,
    ),
  ).toEqual([]);
});

test('functions that act with their owner’s rights take no arguments of whatever type their caller likes', async () => {
  expect(
    await database.rows(
      `select p.oid::regprocedure::text as name from pg_proc p
       where p.pronamespace in ('outbox'::regnamespace, 'outbox_inbox'::regnamespace) and p.prosecdef
         and exists (select from unnest(p.proargtypes::oid[]) a join pg_type t on t.oid = a
                     where t.typtype not in ('b', 'e') or t.typnamespace <> 'pg_catalog'::regnamespace)`,
    ),
  ).toEqual([]);
});

/** A login that is a member of these roles and no more; its own connection. */
async function login(...roles: string[]): Promise<pg.Client> {
  const user = uniqueName('user');
  await database.pool.query(`create role "${user}" login password 'x' in role ${roles.join(', ')}`);
  const url = new URL(database.url);
  url.username = user;
  url.password = 'x';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  atEnd(async () => {
    await client.end();
    await database.pool.query(`drop owned by "${user}"; drop role "${user}"`);
  });
  return client;
}

/** A table of one's own, whose column is of a type whose cast to text runs a body of one's own. */
const bait = `
  create type pg_temp.bait as (x integer);
  create function pg_temp.as_text(v pg_temp.bait) returns text language plpgsql as
    'begin execute ''create temp table taken_as_'' || current_user || '' (x integer)''; return ''a''; end';
  create cast (pg_temp.bait as text) with function pg_temp.as_text(pg_temp.bait) as implicit;
  create temp table mine (id uuid default gen_random_uuid(), type pg_temp.bait, key text, payload jsonb, deliver_at timestamptz, dedup_key text)`;

const attach = `create trigger t after insert on mine referencing new table as new_events
  for each statement execute function outbox.route_new_events()`;

test.each([
  'outbox_producer',
  'outbox_api',
  'outbox_relay',
  'outbox_operator',
  'outbox_consumer',
  'outbox_producer, outbox_api, outbox_relay, outbox_operator',
])('a login with %s cannot attach the routing to a table of its own', async (roles) => {
  const client = await login(roles);
  await client.query(bait);
  await expect(client.query(attach)).rejects.toMatchObject({ code: '42501' });
  await expect(
    client.query(
      'create trigger t before insert on mine for each row execute function outbox.refuse_foreign_id()',
    ),
  ).rejects.toMatchObject({ code: '42501' });
});

test('attached by somebody who was granted it by hand, the routing refuses before it looks at a row', async () => {
  const client = await login('outbox_relay');
  const { rows } = await client.query<{ me: string }>('select session_user as me');
  await client.query(bait);
  await database.pool.query(`grant execute on function outbox.route_new_events() to "${rows[0]?.me}"`);
  await client.query(attach);
  await expect(client.query('insert into mine (type) values (row(1)::pg_temp.bait)')).rejects.toMatchObject({
    code: '42501',
    message: /belongs to outbox\.events alone/,
  });
});

test('what an earlier version granted and nobody needs is taken back when roles are made again', async () => {
  await database.pool.query(`
    grant execute on all functions in schema outbox to outbox_relay;
    grant insert, delete on outbox.events, outbox.audit to outbox_relay`);
  expect(await functionsOf('outbox_relay')).toContain('route_new_events');
  await database.pool.query(await readFile(new URL('roles.sql', migrations), 'utf8'));
  expect(await functionsOf('outbox_relay')).toEqual(names(grants['outbox_relay']?.functions ?? ''));
  expect((await tablesOf('outbox_relay')).filter((line) => line.includes('DELETE'))).not.toContainEqual(
    expect.stringMatching(/^(events|audit):/),
  );
});

const migrations = new URL('../../src/storage/migrations/', import.meta.url);
