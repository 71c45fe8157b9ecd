import { rowsOf } from '../../storage/connect.ts';
import type { PlacedOrder } from '../shop.ts';
import type { QueueStage } from './stage.ts';

/** What happened, counted in the tables of orders and of billing. */
export interface QueueCounts {
  /** Orders whose transaction committed, each with its event. */
  readonly committed: number;
  /** Orders whose transaction rolled back and whose event is nowhere. */
  readonly rolledBack: number;
  /** Messages that the broker acknowledged: each event twice. */
  readonly sent: number;
  /** Orders with exactly one invoice. */
  readonly effects: number;
  /** Of those, after a failure, by retrying alone. */
  readonly retried: number;
  /** Messages that billing parked in its own database. */
  readonly parked: number;
  /** Of those, applied after a person's word. */
  readonly resolved: number;
}

export interface QueueCheck {
  readonly counts: QueueCounts;
  /** What disagrees; empty when all is well. */
  readonly problems: readonly string[];
}

/** Compares what was written with what billing did, order by order. */
export async function checkQueueDemo(
  { pool, billing }: Pick<QueueStage, 'pool' | 'billing'>,
  placed: readonly PlacedOrder[],
): Promise<QueueCheck> {
  const events = await rowsOf<{ id: string; payload: string; sent: number }>(
    pool,
    `select e.id::text, e.payload::text as payload,
            (select count(*)::int from outbox.delivered d where d.event_id = e.id) as sent
     from outbox.events e where e.type = 'order.placed'`,
  );
  const invoices = await rowsOf<{ event_id: string; body: string }>(
    billing.pool,
    'select event_id, body from invoices',
  );
  const parked = await rowsOf<{ message_id: string; resolution: string | null }>(
    billing.pool,
    'select message_id, resolution from outbox_inbox.parked where parked_at is not null',
  );
  const written = new Map(events.map((event) => [event.id, event]));
  const invoicesOf = (id: string) => invoices.filter(({ event_id }) => event_id === id);
  const kept = placed.filter(({ committed }) => committed);
  const undone = placed.filter(({ committed }) => !committed);
  const isParked = (id: string) => parked.some(({ message_id }) => message_id === id);
  const problems = [
    ...kept.flatMap(({ order, eventId }) => {
      const found = invoicesOf(eventId);
      const event = written.get(eventId);
      const checks: [boolean, string][] = [
        [event !== undefined, 'its event is not in the outbox'],
        [found.length === 1, `billing wrote ${found.length} invoices`],
        [
          found.every(({ body }) => body === event?.payload),
          'what billing got differs from what was written',
        ],
      ];
      return checks.filter(([holds]) => !holds).map(([, problem]) => `order ${order}: ${problem}`);
    }),
    ...undone
      .filter(({ eventId }) => written.has(eventId) || invoicesOf(eventId).length > 0)
      .map(({ order }) => `order ${order} was rolled back, its event was not`),
  ];
  const once = kept.filter(({ eventId }) => invoicesOf(eventId).length === 1);
  const ids = new Set(kept.map(({ eventId }) => eventId));
  return {
    problems,
    counts: {
      committed: kept.filter(({ eventId }) => written.has(eventId)).length,
      rolledBack: undone.filter(({ eventId }) => !written.has(eventId)).length,
      sent: events.filter(({ id }) => ids.has(id)).reduce((sum, { sent }) => sum + sent, 0),
      effects: once.length,
      retried: once.filter(({ eventId }) => billing.failed.has(eventId) && !isParked(eventId)).length,
      parked: parked.filter(({ message_id }) => ids.has(message_id)).length,
      resolved: parked.filter((each) => ids.has(each.message_id) && each.resolution === 'applied').length,
    },
  };
}
