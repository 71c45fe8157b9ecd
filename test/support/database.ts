import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { parseConfig } from '../../src/config/load.ts';
import type { Environment } from '../../src/core/secrets.ts';
import { applyConfig, type AppliedConfig } from '../../src/storage/configuration.ts';
import { connect, type Pool } from '../../src/storage/connect.ts';
import { atEnd } from './cleanup.ts';
import { servers, urlOfDatabase } from './servers.ts';

export interface TestDatabase {
  readonly url: string;
  /** Of this database alone; as `name:` in its configuration it keeps its workflow ids and task queue apart from others'. */
  readonly name: string;
  /** `temporal-outbox-<name>`. */
  readonly taskQueue: string;
  readonly pool: Pool;
  /** Rows of one query, for assertions. */
  readonly rows: <T = Record<string, unknown>>(sql: string, values?: unknown[]) => Promise<T[]>;
}

/** A name fit for `name:` in outbox.yaml, for databases, and for ids. */
export function uniqueName(prefix = 't'): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`;
}

/**
 * A fresh database with our schema, about 70 ms; dropped, whoever is connected, when the test (or the file) ends.
 * `{ migrated: false }` gives an empty one.
 */
export async function createTestDatabase(options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const { databaseUrl, template } = servers();
  const name = uniqueName();
  const migrated = options.migrated !== false;
  // Files are copied in half the time that it takes to log each page.
  await onServer(
    databaseUrl,
    `create database "${name}" template ${migrated ? template : 'template0'} strategy file_copy`,
  );
  atEnd(() => onServer(databaseUrl, `drop database if exists "${name}" with (force)`));
  const url = urlOfDatabase(databaseUrl, name);
  const pool = connect(url, { applicationName: 'test' });
  atEnd(() => (pool.ended ? undefined : pool.end()));
  // A copy has the template's identity, and two databases of one identity, or of one name, are what `run` must refuse.
  if (migrated)
    await pool.query('update outbox.settings set database_id = gen_random_uuid(), name = $1', [name]);
  return {
    url,
    name,
    taskQueue: `temporal-outbox-${name}`,
    pool,
    rows: async <T>(sql: string, values?: unknown[]) => (await pool.query(sql, values)).rows as T[],
  };
}

/**
 * Checks and applies a configuration as `config apply` does. Without a `name:` of its own it gets the database's.
 *
 * @example await applyTestConfig(database, `
 *   destinations: { billing: { type: http, url: '${receiver.url}' } }
 *   routes: [{ match: 'order.*', to: [billing] }]`);
 */
export async function applyTestConfig(
  database: Pick<TestDatabase, 'pool' | 'name'>,
  yaml: string,
  env: Environment = {},
): Promise<AppliedConfig> {
  const text = unindented(yaml);
  const named = /^name:/m.test(text) ? text : `${text}\nname: ${database.name}\n`;
  const { config } = parseConfig(named, { path: 'test.yaml', env });
  return applyConfig(database.pool, config, named, 'test');
}

/** Without the indentation that a template literal has from the code around it. */
function unindented(yaml: string): string {
  const lines = yaml
    .replace(/^\s*\n/, '')
    .trimEnd()
    .split('\n');
  const indents = lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/));
  const least = Math.min(...indents);
  return lines.map((line) => line.slice(least)).join('\n');
}

async function onServer(url: string, sql: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query(sql).finally(() => client.end());
}
