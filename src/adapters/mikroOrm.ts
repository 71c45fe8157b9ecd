/** temporal-outbox/mikro-orm */
import type { SqlClient } from '../produce/client.ts';
import { adapter, withQuestionMarks } from './statement.ts';

/** What is used of an EntityManager of @mikro-orm/postgresql. */
export interface MikroOrmManager {
  isInTransaction(): boolean;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as MikroORM declares it
  execute(query: string, parameters?: any[]): Promise<any>;
}

/**
 * Entities that were only persisted are not written before `flush`; the event is written at once. Both are of one transaction.
 *
 * @example
 * await em.transactional(async (em) => {
 *   em.persist(order);
 *   await enqueue(fromMikroOrm(em), { type: 'order.created', key: order.id, payload: order });
 * });
 */
export function fromMikroOrm(em: MikroOrmManager): SqlClient {
  return adapter(em, (text, values) => em.execute(...withQuestionMarks(text, values, '\\?')));
}
