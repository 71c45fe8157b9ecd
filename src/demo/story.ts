import { firstOf, type Queryable } from '../storage/connect.ts';
import { listDeadLetters, type DeadLetter } from '../storage/deadLetters.ts';
import { signals } from '../../workflows/contract.ts';
import { openShop, placeOrder, type PlacedOrder } from './shop.ts';
import { orders, type Stage } from './stage.ts';
import { until } from './until.ts';

/** Who tells the story: a line for people. */
export type Say = (line: string) => void;

/** Orders placed, every fourth one rolled back. */
export async function placeOrders({ pool }: Pick<Stage, 'pool'>, say: Say): Promise<PlacedOrder[]> {
  await openShop(pool);
  say(
    `A shop places ${orders.last} orders, each with its event in the same transaction; every fourth customer changes ` +
      'their mind, and that transaction rolls back. Billing receives:',
  );
  const placed: PlacedOrder[] = [];
  for (let order: number = orders.first; order <= orders.last; order += 1) {
    placed.push(await placeOrder(pool, order, order % orders.everyUndone === 0));
  }
  return placed;
}

/** Everything is delivered but the refused order, which is parked. Answers its dead letter. */
export async function awaitParked({ pool }: Stage, placed: readonly PlacedOrder[]): Promise<DeadLetter> {
  const expected = placed.filter(({ committed }) => committed).length - 1;
  return until('all orders but one to arrive, and that one to be parked', async () => {
    const [parked] = await listDeadLetters(pool, { status: 'open' }, null, 1);
    return (await countDelivered(pool)) >= expected ? parked : undefined;
  });
}

/** What a person does in the Temporal UI: More Actions → Send a Signal → retry. */
export async function sendRetry({ temporal }: Stage, { workflowId }: DeadLetter): Promise<void> {
  await temporal.client.workflow
    .getHandle(workflowId)
    .signal(signals.retry, { actor: 'demo', reason: 'billing knows the customer now' });
}

/**
 * Answers the dead letter that ended the matter: who retries before billing is repaired gets a second one. Waits for ever
 * without `withinMs`.
 */
export async function awaitResolved(
  { pool }: Stage,
  { eventId }: DeadLetter,
  withinMs?: number,
  interrupted?: AbortSignal,
): Promise<DeadLetter> {
  const look = async (): Promise<DeadLetter | undefined> => {
    const [letter] = await listDeadLetters(pool, { status: 'resolved', eventId }, null, 1);
    if (letter === undefined) return undefined;
    return letter.resolution === 'discard' || (await isDelivered(pool, eventId)) ? letter : undefined;
  };
  return until('the parked order to be resolved and delivered', look, withinMs ?? Infinity, interrupted);
}

async function countDelivered(db: Queryable): Promise<number> {
  const row = await firstOf<{ n: number }>(db, 'select count(*)::float8 as n from outbox.delivered');
  return row?.n ?? 0;
}

async function isDelivered(db: Queryable, eventId: string): Promise<boolean> {
  const row = await firstOf<{ found: boolean }>(
    db,
    'select exists (select from outbox.delivered where event_id = $1) as found',
    [eventId],
  );
  return row?.found === true;
}
