import { listParked, type ParkedMessage } from '../../inbox/index.ts';
import { firstOf } from '../../storage/connect.ts';
import type { PlacedOrder } from '../shop.ts';
import { until } from '../until.ts';
import { destinationsMax } from './config.ts';
import type { QueueStage } from './stage.ts';

/** Everything was sent and had its effect but one message, which is parked. Answers that one. */
export function awaitParkedMessage(
  { pool, billing }: QueueStage,
  placed: readonly PlacedOrder[],
): Promise<ParkedMessage> {
  const committed = placed.filter((order) => order.committed).length;
  const { counters } = billing.consumer;
  return until('all orders but one to be invoiced, and that one to be parked', async () => {
    const [parked] = await listParked(billing.pool, { state: 'parked' });
    const sent = await firstOf<{ n: number }>(pool, 'select count(*)::int as n from outbox.delivered');
    const cameTwice = counters.processed + counters.repeated >= (committed - 1) * destinationsMax;
    return sent?.n === committed * destinationsMax && cameTwice ? parked : undefined;
  });
}

/** Answers how it was resolved. Waits for ever without `withinMs`. */
export function awaitResolution(
  { billing }: QueueStage,
  { id }: ParkedMessage,
  withinMs?: number,
  interrupted?: AbortSignal,
): Promise<ParkedMessage> {
  const look = async (): Promise<ParkedMessage | undefined> =>
    (await listParked(billing.pool, { state: 'resolved' })).find((each) => each.id === id);
  return until('the parked message to be resolved', look, withinMs ?? Infinity, interrupted);
}
