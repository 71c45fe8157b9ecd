import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { OutboxError } from '../errors.ts';
import { firstOf, inTransaction, rowsOf, type Pool, type Queryable } from './connect.ts';
import { requireVisibleRows } from './structure.ts';
import { readMigrationsIn, type Migration } from './migrationFiles.ts';

const folder = new URL('./migrations/', import.meta.url);

export interface MigrationReport {
  readonly from: number;
  readonly to: number;
  readonly applied: readonly string[];
}

export function readMigrations(): Promise<Migration[]> {
  return readMigrationsIn(folder);
}

/**
 * Brings the schema up to this version, all or nothing, safe to run twice at once: one advisory lock, one transaction.
 * @throws OutboxError OUTBOX_SCHEMA_NEWER when the database was migrated by a newer package.
 */
export async function migrate(pool: Pool): Promise<MigrationReport> {
  const migrations = await readMigrations();
  const newest = migrations.at(-1)?.version ?? 0;
  return inTransaction(pool, async (client) => {
    await client.query('select pg_advisory_xact_lock(1869968482, 1000000)');
    await prepare(client);
    const from = await versionOf(client);
    if (from > newest) throw newerSchema(from, newest);
    const pending = migrations.filter((migration) => migration.version > from);
    for (const migration of pending) await apply(client, migration);
    if (pending.length > 0) await client.query(await readFile(new URL('roles.sql', folder), 'utf8'));
    // Where nothing has run for weeks, producers have no day to write to. Who may not is here to see that all is up to date.
    await client.query(
      `select outbox.make_partitions() where has_function_privilege('outbox.make_partitions(integer, integer)', 'execute')`,
    );
    return { from, to: newest, applied: pending.map((migration) => migration.name) };
  });
}

/** `if not exists` asks for the right to create even where there is nothing to create. */
async function prepare(client: Queryable): Promise<void> {
  const present = await firstOf<{ schema: boolean; table: boolean }>(
    client,
    `select to_regnamespace('outbox') is not null as schema, to_regclass('outbox.migrations') is not null as table`,
  );
  if (present?.schema !== true) await client.query('create schema outbox');
  if (present?.table === true) return;
  await client.query(`create table outbox.migrations (
    version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())`);
}

async function apply(client: Queryable, migration: Migration): Promise<void> {
  await client.query(migration.sql);
  await client.query('insert into outbox.migrations (version, name, checksum) values ($1, $2, $3)', [
    migration.version,
    migration.name,
    createHash('sha256').update(migration.sql).digest('hex'),
  ]);
}

async function versionOf(db: Queryable): Promise<number> {
  const row = await firstOf<{ version: number | null }>(
    db,
    'select max(version) as version from outbox.migrations',
  );
  return row?.version ?? 0;
}

/** @throws OutboxError OUTBOX_SCHEMA_MISSING or OUTBOX_SCHEMA_NEWER unless the schema is exactly this version's, OUTBOX_ROW_SECURITY */
export async function requireSchema(db: Queryable): Promise<void> {
  await requireVisibleRows(db);
  const newest = (await readMigrations()).at(-1)?.version ?? 0;
  const [present] = await rowsOf<{ present: boolean }>(
    db,
    `select to_regclass('outbox.migrations') is not null as present`,
  );
  const version = present?.present === true ? await versionOf(db) : 0;
  if (version > newest) throw newerSchema(version, newest);
  if (version < newest) {
    throw new OutboxError(
      'OUTBOX_SCHEMA_MISSING',
      version === 0
        ? 'this database has no outbox schema'
        : `the outbox schema is at version ${version}, this program needs ${newest}`,
      { hint: 'Run: temporal-outbox migrate' },
    );
  }
}

function newerSchema(version: number, newest: number): OutboxError {
  return new OutboxError(
    'OUTBOX_SCHEMA_NEWER',
    `the outbox schema is at version ${version}, this program knows up to ${newest}`,
    { hint: 'Deploy the newer version of temporal-outbox; an older one must not work on this database.' },
  );
}
