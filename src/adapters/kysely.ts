/** temporal-outbox/kysely */
import type { SqlClient } from '../produce/client.ts';
import { adapter } from './statement.ts';

/** What is used of a transaction of Kysely. */
export interface KyselyTransaction {
  readonly isTransaction: boolean;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a CompiledQuery, whose type is Kysely's
  executeQuery(query: any): Promise<{ readonly rows: unknown[] }>;
}

/**
 * @example
 * await db.transaction().execute(async (trx) => {
 *   await trx.insertInto('orders').values(order).execute();
 *   await enqueue(fromKysely(trx), { type: 'order.created', key: order.id, payload: order });
 * });
 */
export function fromKysely(trx: KyselyTransaction): SqlClient {
  // What CompiledQuery.raw makes.
  return adapter(trx, (sql, parameters) =>
    trx.executeQuery({
      sql,
      parameters,
      query: { kind: 'RawNode', sqlFragments: [sql], parameters: [] },
      queryId: { queryId: 'temporal-outbox' },
    }),
  );
}
