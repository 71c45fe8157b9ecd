/** temporal-outbox/postgres-js */
import type { SqlClient } from '../produce/client.ts';
import { adapter } from './statement.ts';

/** What is used of the `sql` inside of a transaction of postgres.js. */
export interface PostgresJsTransaction {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- parameters of its own type
  unsafe(query: string, parameters?: any[]): PromiseLike<unknown>;
}

/**
 * @example
 * await sql.begin(async (sql) => {
 *   await sql`insert into orders ${sql(order)}`;
 *   await enqueue(fromPostgresJs(sql), { type: 'order.created', key: order.id, payload: order });
 * });
 */
export function fromPostgresJs(sql: PostgresJsTransaction): SqlClient {
  // Copied: its answer is a list with more on it.
  return adapter(sql, async (text, values) => [...((await sql.unsafe(text, values)) as unknown[])]);
}
