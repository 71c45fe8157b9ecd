/** temporal-outbox/drizzle: node-postgres, postgres-js and any other driver of Drizzle for PostgreSQL. */
import type { SqlClient } from '../produce/client.ts';
import { adapter, piecesOf } from './statement.ts';

/** What is used of a transaction of Drizzle. */
export interface DrizzleTransaction {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- an SQL of Drizzle
  execute(query: any): PromiseLike<unknown>;
}

/** `sql` of drizzle-orm. */
export interface DrizzleSql {
  raw(text: string): unknown;
  param(value: unknown): unknown;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as above
  join(chunks: any[]): unknown;
}

/**
 * @param sql from 'drizzle-orm'
 * @example
 * await db.transaction(async (tx) => {
 *   await tx.insert(orders).values(order);
 *   await enqueue(fromDrizzle(tx, sql), { type: 'order.created', key: order.id, payload: order });
 * });
 */
export function fromDrizzle(tx: DrizzleTransaction, sql: DrizzleSql): SqlClient {
  return adapter(tx, async (text, values) => {
    const pieces = piecesOf(text, values);
    const chunks = pieces.texts.flatMap((piece, index) =>
      index === 0 ? [sql.raw(piece)] : [sql.param(pieces.values[index - 1]), sql.raw(piece)],
    );
    return tx.execute(sql.join(chunks));
  });
}
