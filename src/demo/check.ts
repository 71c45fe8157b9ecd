import { rowsOf, type Queryable } from '../storage/connect.ts';
import type { Receipt } from './receiver.ts';
import type { PlacedOrder } from './shop.ts';

/** What happened, counted in the tables and at the receiver. */
export interface DemoCounts {
  /** Orders whose transaction committed, each with its event. */
  readonly committed: number;
  /** Orders whose transaction rolled back and whose event is nowhere. */
  readonly rolledBack: number;
  /** Events the receiver took, once each, and the outbox acknowledged. */
  readonly delivered: number;
  /** Of those, taken after a failure, by retrying alone. */
  readonly retried: number;
  /** Events that were parked. */
  readonly parked: number;
  /** Of those, resolved by a command. */
  readonly resolved: number;
}

export interface DemoCheck {
  readonly counts: DemoCounts;
  /** What disagrees; empty when all is well. */
  readonly problems: readonly string[];
}

interface EventFacts {
  readonly id: string;
  readonly payload: string;
  readonly ordered: boolean;
  readonly delivered: boolean;
  readonly parked: boolean;
  readonly resolved: boolean;
}

/** Compares what was asked for, what the tables hold and what the receiver saw, event by event. */
export async function checkDemo(
  db: Queryable,
  placed: readonly PlacedOrder[],
  receipts: readonly Receipt[],
): Promise<DemoCheck> {
  const events = new Map((await readEvents(db)).map((event) => [event.id, event]));
  const kept = placed.filter((order) => order.committed);
  const undone = placed.filter((order) => !order.committed);
  const problems = [
    ...kept.flatMap((order) => committedProblems(order, events.get(order.eventId), receipts)),
    ...undone.flatMap((order) => rolledBackProblems(order, events.get(order.eventId), receipts)),
    ...receipts.filter((receipt) => !receipt.signatureHolds).map(() => 'a signature did not hold'),
  ];
  const ids = kept.map((order) => order.eventId);
  const facts = ids.flatMap((id) => events.get(id) ?? []);
  const accepted = (id: string): number => receipts.filter((r) => r.messageId === id && isOk(r)).length;
  const failed = (id: string): boolean => receipts.some((r) => r.messageId === id && !isOk(r));
  return {
    problems,
    counts: {
      committed: facts.filter((event) => event.ordered).length,
      rolledBack: undone.filter((order) => !events.has(order.eventId)).length,
      delivered: facts.filter((event) => event.delivered && accepted(event.id) === 1).length,
      retried: facts.filter((event) => event.delivered && !event.parked && failed(event.id)).length,
      parked: facts.filter((event) => event.parked).length,
      resolved: facts.filter((event) => event.resolved).length,
    },
  };
}

async function readEvents(db: Queryable): Promise<EventFacts[]> {
  return rowsOf<EventFacts>(
    db,
    `select e.id, e.payload::text as payload,
            exists (select from shop.orders o where o.id = (e.payload ->> 'order')::integer) as ordered,
            exists (select from outbox.delivered d where d.event_id = e.id and d.destination = 'billing') as delivered,
            exists (select from outbox.dead_letters l where l.event_id = e.id) as parked,
            exists (select from outbox.dead_letters l where l.event_id = e.id)
              and not exists (select from outbox.dead_letters l where l.event_id = e.id and l.resolved_at is null) as resolved
     from outbox.events e where e.type = 'order.placed' and e.payload ->> 'order' ~ '^[0-9]{1,9}$'`,
  );
}

function committedProblems(
  { order, eventId }: PlacedOrder,
  event: EventFacts | undefined,
  receipts: readonly Receipt[],
): string[] {
  if (event === undefined) return [`order ${order}: its event is not in the outbox`];
  const seen = receipts.filter((receipt) => receipt.messageId === eventId);
  const taken = seen.filter(isOk).length;
  const checks: [boolean, string][] = [
    [event.ordered, 'the order is not in the table'],
    [taken === 1, `the receiver took it ${taken} times`],
    [event.delivered, 'the outbox does not hold it for delivered'],
    [seen.every(({ body }) => body === event.payload), 'the body differs from what the table holds'],
    [
      seen.every(({ idempotencyKey }) => idempotencyKey === `"billing/${eventId}"`),
      'an attempt carried another idempotency key',
    ],
  ];
  return checks.filter(([holds]) => !holds).map(([, problem]) => `order ${order}: ${problem}`);
}

function rolledBackProblems(
  { order, eventId }: PlacedOrder,
  event: EventFacts | undefined,
  receipts: readonly Receipt[],
): string[] {
  return [
    ...(event === undefined ? [] : [`order ${order} was rolled back, its event was not`]),
    ...(receipts.some((receipt) => receipt.messageId === eventId)
      ? [`order ${order} was rolled back and arrived all the same`]
      : []),
  ];
}

function isOk({ status }: Receipt): boolean {
  return status >= 200 && status < 300;
}
