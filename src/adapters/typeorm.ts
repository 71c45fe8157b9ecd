/** temporal-outbox/typeorm */
import type { SqlClient } from '../produce/client.ts';
import { adapter } from './statement.ts';

/** What is used of an EntityManager (or QueryRunner) of TypeORM. */
export interface TypeOrmManager {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as TypeORM declares it
  query(query: string, parameters?: any[]): Promise<any>;
}

/**
 * The manager of a transaction may also be passed to `enqueue` as it is.
 *
 * @example
 * await dataSource.transaction(async (manager) => {
 *   await manager.save(order);
 *   await enqueue(fromTypeOrm(manager), { type: 'order.created', key: order.id, payload: order });
 * });
 */
export function fromTypeOrm(manager: TypeOrmManager): SqlClient {
  return adapter(manager, (text, values) => manager.query(text, values));
}
