import { OutboxError } from '../errors.ts';
import { quotedName, quotedTable, type TableName } from './identifier.ts';
import { invalid } from './message.ts';
import { firstRow, type SqlClient } from './sql.ts';

export interface AdvanceOptions {
  readonly table: TableName;
  /** Of the one row that is meant. */
  readonly id: unknown;
  /** The state, or states, that the row has to be in. */
  readonly from: string | readonly string[];
  readonly to: string;
  /** Default `id`. */
  readonly idColumn?: string;
  /** Default `state`. */
  readonly stateColumn?: string;
  /** Further columns to set in the same statement. */
  readonly set?: Readonly<Record<string, unknown>>;
}

export type Advanced =
  | { readonly outcome: 'advanced'; readonly from: string }
  /** It is in `to` already: a repeat, as a rule. */
  | { readonly outcome: 'already-there' }
  /** In neither: out of order, or refused by your rules. `state` is null for SQL null. */
  | { readonly outcome: 'elsewhere'; readonly state: string | null }
  | { readonly outcome: 'missing' };

/**
 * For handlers that need no inbox, as the state of their own row tells what was done: moves it from the expected state to
 * the next, in one statement. Two at once: one advances, the other waits for it and then finds it already there.
 *
 * @throws OutboxError OUTBOX_INBOX_INVALID for names that cannot be, and for an `id` that several rows have: then no row
 *   was changed
 */
export async function advance(client: SqlClient, options: AdvanceOptions): Promise<Advanced> {
  const { id, to, idColumn = 'id', stateColumn = 'state', set = {} } = options;
  const from: readonly unknown[] = typeof options.from === 'string' ? [options.from] : options.from;
  if (!Array.isArray(from) || from.length === 0 || from.some((state) => typeof state !== 'string'))
    throw invalid('from', 'a state or a list of states', options.from);
  if (typeof to !== 'string' || from.includes(to)) throw invalid('to', 'a state that is not in from', to);
  const table = quotedTable(options.table);
  const [idName, stateName] = [quotedName('idColumn', idColumn), quotedName('stateColumn', stateColumn)];
  const more = Object.keys(set).map((name, index) => `, ${quotedName('set', name)} = $${index + 4}`);
  // The row is locked before it is judged. An update alone, beside a look-up in the same statement, would say "still in
  // `from`" to the second of two: the look-up has the snapshot of before the wait.
  const row = await firstRow<{ found: string; state: string | null; moved: boolean }>(
    client,
    `with found as materialized (
       select ${stateName}::text as state from ${table} where ${idName} = $1 for update
     ), moved as (
       update ${table} set ${stateName} = $2${more.join('')}
       where ${idName} = $1 and (select count(*) from found) = 1 and (select state from found) = any ($3::text[])
       returning 1
     )
     select (select count(*) from found)::text as found, (select min(state) from found) as state,
       exists (select from moved) as moved`,
    [id, to, from, ...Object.values(set)],
  );
  const found = Number(row?.found ?? 0);
  if (found > 1) {
    throw new OutboxError(
      'OUTBOX_INBOX_INVALID',
      `id: expected the one row of ${table} that has it, found ${found}`,
    );
  }
  if (found === 0) return { outcome: 'missing' };
  const state = row?.state ?? null;
  if (row?.moved === true) return { outcome: 'advanced', from: state ?? '' };
  return state === to ? { outcome: 'already-there' } : { outcome: 'elsewhere', state };
}
