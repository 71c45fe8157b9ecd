/** temporal-outbox/knex */
import type { SqlClient } from '../produce/client.ts';
import { adapter, withQuestionMarks } from './statement.ts';

/** What is used of a transaction of Knex. */
export interface KnexTransaction {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- Knex's own bindings are its own type
  raw(sql: string, bindings: any): PromiseLike<unknown>;
}

/**
 * @example
 * await knex.transaction(async (trx) => {
 *   await trx('orders').insert(order);
 *   await enqueue(fromKnex(trx), { type: 'order.created', key: order.id, payload: order });
 * });
 */
export function fromKnex(trx: KnexTransaction): SqlClient {
  return adapter(trx, async (text, values) => {
    const [sql, bindings] = withQuestionMarks(text, values, '\\?');
    return trx.raw(sql, bindings);
  });
}
