import { expect, test } from 'vitest';
import { connect } from '../../src/storage/connect.ts';
import { migrate, readMigrations, requireSchema } from '../../src/storage/migrate.ts';
import { atEnd, createTestDatabase, type TestDatabase } from '../support/index.ts';

function secondPool(database: TestDatabase) {
  const pool = connect(database.url);
  atEnd(() => pool.end());
  return pool;
}

test('an empty database comes to the newest version, and a second migration finds nothing to do', async () => {
  const { pool, rows } = await createTestDatabase({ migrated: false });
  const migrations = await readMigrations();
  const names = migrations.map(({ name }) => name);
  const newest = migrations.at(-1)?.version;

  const first = await migrate(pool);
  expect(first).toEqual({ from: 0, to: newest, applied: names });
  const identity = await rows('select * from outbox.settings');
  expect(await migrate(pool)).toEqual({ from: newest, to: newest, applied: [] });
  expect(await rows('select * from outbox.settings')).toEqual(identity);
  await requireSchema(pool);
});

test('two migrations at once: one applies everything, the other waits and finds it done', async () => {
  const database = await createTestDatabase({ migrated: false });
  const reports = await Promise.all([migrate(database.pool), migrate(secondPool(database))]);
  const newest = (await readMigrations()).length;
  expect(reports.map(({ applied }) => applied.length).sort()).toEqual([0, newest]);
  expect(await database.rows('select version from outbox.migrations')).toHaveLength(newest);
});

test('databases of one cluster may be migrated at once, although roles are the cluster’s', async () => {
  const databases = await Promise.all([1, 2, 3].map(() => createTestDatabase({ migrated: false })));
  const reports = await Promise.all(databases.map(({ pool }) => migrate(pool)));
  expect(reports.map(({ to }) => to)).toEqual(Array(3).fill((await readMigrations()).at(-1)?.version));
});

test('a failing migration leaves nothing behind', async () => {
  const { pool, rows } = await createTestDatabase({ migrated: false });
  // Takes the name that the second migration needs.
  await pool.query('create schema outbox; create table outbox.deliveries (x integer)');
  await expect(migrate(pool)).rejects.toThrow(/"deliveries" already exists/);
  expect(await rows(`select relname from pg_class where relnamespace = 'outbox'::regnamespace`)).toEqual([
    { relname: 'deliveries' },
  ]);
});

test('a database without the schema, or with an older one, asks for a migration', async () => {
  const empty = await createTestDatabase({ migrated: false });
  await expect(requireSchema(empty.pool)).rejects.toMatchObject({
    code: 'OUTBOX_SCHEMA_MISSING',
    message: 'this database has no outbox schema',
    hint: 'Run: temporal-outbox migrate',
  });
  const older = await createTestDatabase();
  await older.pool.query('delete from outbox.migrations where version > 3');
  await expect(requireSchema(older.pool)).rejects.toMatchObject({
    code: 'OUTBOX_SCHEMA_MISSING',
    message: expect.stringMatching(/is at version 3, this program needs \d+/) as string,
  });
});

test('a database of a newer version is left alone', async () => {
  const { pool, rows } = await createTestDatabase();
  await pool.query(`insert into outbox.migrations values (9999, '9999-later.sql', 'x')`);
  const before = await rows('select version from outbox.migrations');
  for (const attempt of [migrate, requireSchema]) {
    await expect(attempt(pool)).rejects.toMatchObject({
      code: 'OUTBOX_SCHEMA_NEWER',
      message: expect.stringContaining('version 9999') as string,
    });
  }
  expect(await rows('select version from outbox.migrations')).toEqual(before);
});

test('a user who is no superuser and may not create roles can migrate and produce', async () => {
  const { pool, url, name, rows } = await createTestDatabase({ migrated: false });
  const user = name.replaceAll('-', '_');
  await pool.query(`create role ${user} login password 'x'; grant create on database "${name}" to ${user}`);
  atEnd(() =>
    pool.query(`reassign owned by ${user} to current_user; drop owned by ${user}; drop role ${user}`),
  );
  const own = connect(Object.assign(new URL(url), { username: user, password: 'x' }).href);
  atEnd(() => own.end());

  await migrate(own);
  await own.query(`insert into outbox.events (type, payload) values ('a.b', '{}')`);
  expect(await rows('select type from outbox.unrouted')).toEqual([{ type: 'a.b' }]);
});
