/** temporal-outbox/prisma */
import type { SqlClient } from '../produce/client.ts';
import { adapter } from './statement.ts';

/** What is used of an interactive transaction of Prisma. */
export interface PrismaTransaction {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Prisma declares it
  $queryRawUnsafe(query: string, ...values: any[]): PromiseLike<unknown>;
}

/**
 * @example
 * await prisma.$transaction(async (tx) => {
 *   await tx.order.create({ data: order });
 *   await enqueue(fromPrisma(tx), { type: 'order.created', key: order.id, payload: order });
 * });
 */
export function fromPrisma(tx: PrismaTransaction): SqlClient {
  return adapter(tx, async (text, values) => tx.$queryRawUnsafe(text, ...values));
}
