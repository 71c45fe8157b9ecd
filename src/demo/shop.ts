import { enqueue } from '../produce/enqueue.ts';
import { inTransaction, type Pool } from '../storage/connect.ts';

/** A business table, and the service that writes it: what a reader would have of their own. */
export async function openShop(pool: Pool): Promise<void> {
  await pool.query(`
    create schema shop;
    create table shop.orders (
      id       integer primary key,
      customer text not null,
      total    numeric not null check (total > 0)
    )`);
}

export interface PlacedOrder {
  readonly order: number;
  readonly eventId: string;
  readonly committed: boolean;
}

/** More digits than a JavaScript number holds: the payload travels as text, so none is lost. */
const manyDigits = '9007199254740993.01';

/** The order and its event, in one transaction: both or neither. */
export async function placeOrder(pool: Pool, order: number, changesItsMind: boolean): Promise<PlacedOrder> {
  let eventId = '';
  const total = order === 1 ? manyDigits : `${order * 10}.50`;
  try {
    await inTransaction(pool, async (client) => {
      await client.query('insert into shop.orders (id, customer, total) values ($1, $2, $3)', [
        order,
        `customer-${order}`,
        total,
      ]);
      const event = await enqueue(client, {
        type: 'order.placed',
        key: `order-${order}`,
        payloadText: `{"order": ${order}, "customer": "customer-${order}", "total": ${total}}`,
      });
      eventId = event.id;
      if (changesItsMind) throw new ChangedMind();
    });
    return { order, eventId, committed: true };
  } catch (error) {
    if (error instanceof ChangedMind) return { order, eventId, committed: false };
    throw error;
  }
}

/** What makes a business transaction roll back after its event was written: a card refused, a stock run out. */
class ChangedMind extends Error {}
