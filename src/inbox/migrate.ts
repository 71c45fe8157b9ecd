import { createHash } from 'node:crypto';
import { OutboxError } from '../errors.ts';
import type { Migration } from '../storage/migrationFiles.ts';
import { readInboxMigrations, readInboxRoles } from './migrationTexts.ts';
import { dollarQuoted, firstRow, type SqlClient } from './sql.ts';

export const dayMs = 86_400_000;
const defaultRetentionMs = 30 * dayMs;

export interface MigrateInboxOptions {
  /**
   * How long the inbox remembers, in milliseconds, counted from when a message's id was made. Whole weeks are forgotten,
   * so it is up to a week more. Left out: 30 days for a new inbox, else as it is. What was forgotten once stays so.
   */
  readonly retentionMs?: number;
}

export interface InboxMigrationReport {
  readonly from: number;
  readonly to: number;
  readonly applied: readonly string[];
}

/**
 * Makes or upgrades the schema `outbox_inbox` in the consumer's own database. All or nothing, safe to run twice and at
 * once; in a transaction of yours it is part of that, else it is one of its own. `client` may be a pool, too.
 *
 * @throws OutboxError OUTBOX_SCHEMA_NEWER when a newer package migrated it
 * @throws OutboxError OUTBOX_INBOX_INVALID for a retention of less than an hour or more than ten years
 */
export async function migrateInbox(
  client: SqlClient,
  options: MigrateInboxOptions = {},
): Promise<InboxMigrationReport> {
  const { retentionMs } = options;
  if (retentionMs !== undefined) assertRetention(retentionMs);
  const migrations = await readInboxMigrations();
  const newest = migrations.at(-1)?.version ?? 0;
  const from = await versionOf(client);
  if (from > newest) throw newerInbox(from, newest);
  const roles = await readInboxRoles();
  // One statement: so it is one transaction, whatever client runs it.
  await client.query(upgrade(migrations, roles, retentionMs), []);
  return {
    from,
    to: newest,
    applied: migrations.filter(({ version }) => version > from).map(({ name }) => name),
  };
}

function assertRetention(retentionMs: number): void {
  if (Number.isSafeInteger(retentionMs) && retentionMs >= 3_600_000 && retentionMs <= 3650 * dayMs) return;
  throw new OutboxError(
    'OUTBOX_INBOX_INVALID',
    `retentionMs: expected a whole number of milliseconds from an hour to ten years, got ${String(retentionMs)}`,
  );
}

function upgrade(migrations: readonly Migration[], roles: string, retentionMs: number | undefined): string {
  const steps = migrations.map(
    ({ version, name, sql }) => `
    if v_from < ${version} then
      execute ${dollarQuoted(sql)};
      insert into outbox_inbox.migrations (version, name, checksum)
      values (${version}, '${name}', '${createHash('sha256').update(sql).digest('hex')}');
    end if;`,
  );
  // PostgreSQL 14 takes no more than 2^31 of a unit as text.
  const chosen = `(${retentionMs ?? defaultRetentionMs} * interval '1 millisecond')`;
  return `do ${dollarQuoted(`
  declare
    v_from integer := 0;
  begin
    perform pg_advisory_xact_lock(1869968482, 3000000);
    -- Not to_regclass, which after the wait for the lock may answer from a cache of before. And not "create if not exists",
    -- which asks for the right to create even where there is nothing to create.
    if not exists (select from pg_tables where schemaname = 'outbox_inbox' and tablename = 'migrations') then
      create schema outbox_inbox;
      create table outbox_inbox.migrations (
        version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now());
    end if;
    select coalesce(max(version), 0) into v_from from outbox_inbox.migrations;
    ${steps.join('')}
    if v_from = 0 then
      insert into outbox_inbox.settings (retention, oldest, newest)
      select ${chosen}, first, first from outbox_inbox.uuid7_floor(outbox_inbox.week_of(now() - ${chosen})) as first;
    ${retentionMs === undefined ? '' : `else update outbox_inbox.settings set retention = ${chosen};`}
    end if;
    perform outbox_inbox.make_partitions();
    if v_from < ${migrations.at(-1)?.version ?? 0} then
      execute ${dollarQuoted(roles)};
    end if;
  end`)}`;
}

/** 0 where there is no inbox. */
async function versionOf(client: SqlClient): Promise<number> {
  const present = await firstRow<{ present: boolean }>(
    client,
    `select to_regclass('outbox_inbox.migrations') is not null as present`,
  );
  if (present?.present !== true) return 0;
  const row = await firstRow<{ version: number | null }>(
    client,
    'select max(version) as version from outbox_inbox.migrations',
  );
  return row?.version ?? 0;
}

/** @throws OutboxError OUTBOX_SCHEMA_MISSING or OUTBOX_SCHEMA_NEWER unless the inbox is exactly this version's */
export async function requireInbox(client: SqlClient): Promise<void> {
  const newest = (await readInboxMigrations()).at(-1)?.version ?? 0;
  const version = await versionOf(client);
  if (version > newest) throw newerInbox(version, newest);
  if (version < newest) throw missingInbox();
}

export function missingInbox(cause?: unknown): OutboxError {
  return new OutboxError('OUTBOX_SCHEMA_MISSING', 'this database has no inbox, or an older one', {
    hint: 'Run: temporal-outbox inbox migrate',
    cause,
  });
}

function newerInbox(version: number, newest: number): OutboxError {
  return new OutboxError(
    'OUTBOX_SCHEMA_NEWER',
    `the inbox is at version ${version}, this program knows up to ${newest}`,
    {
      hint: 'Deploy the newer version of temporal-outbox; an older one must not work on this database.',
    },
  );
}
