/** What our statements need of a session, whatever the role, the database or the server has for defaults. */
import type { ClientBase } from 'pg';

/**
 * By PostgreSQL's names. Someone's default isolation would make a claim fail for good, a limit of statements take an
 * acknowledgement away, a style of dates turn what we read into other times.
 */
const fixed: Readonly<Record<string, string>> = {
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  transaction_timeout: '0',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  search_path: '"$user", public',
  row_security: 'on',
  bytea_output: 'hex',
  extra_float_digits: '1',
  standard_conforming_strings: 'on',
  check_function_bodies: 'on',
  array_nulls: 'on',
  quote_all_identifiers: 'off',
  transform_null_equals: 'off',
  exit_on_error: 'off',
  'plpgsql.extra_errors': 'none',
  plan_cache_mode: 'auto',
  // An acknowledgement that a crash of the server takes back is an event sent twice. A default other than `off` is the
  // administrator's choice of how many servers have it, and stays.
  synchronous_commit: 'on',
  ...Object.fromEntries(
    [
      'bitmapscan',
      'hashjoin',
      'indexonlyscan',
      'indexscan',
      'mergejoin',
      'nestloop',
      'partition_pruning',
      'seqscan',
      'sort',
    ].map((what) => [`enable_${what}`, 'on']),
  ),
};

/**
 * Said at the start of a connection: where it holds, the session is ours alone. A pooler that lends a server's connection to others
 * refuses or swallows it, and what is set there would be set for strangers.
 */
const marker = { name: 'outbox.session', value: 'own' };
export const startupOptions = `-c ${marker.name}=${marker.value} -c statement_timeout=0`;

/** Not pg_settings alone: a server that does not know a setting has no default of it either. */
const look = `
  select s.name, o.own, case when o.own then set_config(s.name, w.value, false) end
  from unnest($1::text[], $2::text[]) as w(name, value)
  join pg_settings s on s.name = w.name
  cross join (select coalesce(current_setting('${marker.name}', true) = '${marker.value}', false) as own) o
  where s.setting is distinct from w.value and (s.name <> 'synchronous_commit' or s.setting = 'off')`;

/** Statements to begin each transaction with; empty where the session itself is as needed. */
const locals = new WeakMap<object, string>();

/** To be called once for each new connection, before anything else. `statementMs`: 0 for no limit. */
export async function settle(client: Pick<ClientBase, 'query'>, statementMs: number): Promise<void> {
  const wanted = { ...fixed, statement_timeout: String(statementMs) };
  const { rows } = await client.query<{ name: string; own: boolean }>(look, [
    Object.keys(wanted),
    Object.values(wanted),
  ]);
  const foreign = rows.filter(({ own }) => !own).map(({ name }) => name as keyof typeof wanted);
  locals.set(client, foreign.map((name) => setLocal(name, wanted[name] ?? '')).join(''));
}

/** What a transaction on this connection has to begin with, `begin` itself included. */
export function beginOn(client: object): string {
  return `begin isolation level read committed, read write, not deferrable${localsOf(client)}`;
}

/** Whether a statement on this connection is right only inside of a transaction that {@link beginOn} began. */
export function needsTransaction(client: object): boolean {
  return localsOf(client) !== '';
}

function localsOf(client: object): string {
  return locals.get(client) ?? '';
}

function setLocal(name: string, value: string): string {
  // A list of schemas, not the name of one.
  const written = name === 'search_path' ? value : `'${value}'`;
  return `; set local ${name} = ${written}`;
}
