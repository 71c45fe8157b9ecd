import { rowsOf, type Queryable } from './connect.ts';

/** A delivery that waits for an earlier one of its key. */
export interface WaitingDelivery {
  readonly eventId: string;
  readonly state: 'pending' | 'blocked';
}

/** Those of one key, the next one first. */
export async function readWaiting(
  db: Queryable,
  destination: string,
  key: string,
  limit: number,
): Promise<WaitingDelivery[]> {
  return rowsOf<WaitingDelivery>(
    db,
    `select event_id as "eventId", state from outbox.deliveries
     where destination = $1 and key = $2 and key is not null and state in ('pending', 'blocked') order by seq limit $3`,
    [destination, key, limit],
  );
}
