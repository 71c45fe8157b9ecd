/** temporal-outbox/sequelize */
import type { SqlClient } from '../produce/client.ts';
import { adapter } from './statement.ts';

/** What is used of Sequelize. */
export interface SequelizeLike {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- overloads of Sequelize's own
  query(sql: string, options: any): Promise<any>;
}

/**
 * @param transaction of `sequelize.transaction`; undefined for none, which `enqueue` then takes for a pool
 * @example
 * await sequelize.transaction(async (transaction) => {
 *   await Order.create(order, { transaction });
 *   await enqueue(fromSequelize(sequelize, transaction), { type: 'order.created', key: order.id, payload: order });
 * });
 */
export function fromSequelize(sequelize: SequelizeLike, transaction: object | null | undefined): SqlClient {
  return adapter(transaction ?? sequelize, (text, bind) =>
    sequelize.query(text, { transaction, type: 'SELECT', raw: true, ...(bind.length === 0 ? {} : { bind }) }),
  );
}
