/** What became of deliveries that somebody sent again. */
import { rowsOf, type Queryable } from './connect.ts';

export interface DeliveryOutcome {
  readonly eventId: string;
  readonly destination: string;
  /** That of its row, `delivered`, or `gone`: given up, sent elsewhere, or delivered where `retention.delivered` keeps none. */
  readonly state: string;
  /** Of the latest failed attempt; null where there is none, or it was delivered. */
  readonly said: string | null;
}

/** In the order given. */
export async function readOutcomes(
  db: Queryable,
  deliveries: readonly { readonly eventId: string; readonly destination: string }[],
): Promise<DeliveryOutcome[]> {
  return rowsOf<DeliveryOutcome>(
    db,
    `select g.event_id as "eventId", g.destination, coalesce(d.state, e.state, 'gone') as state,
            case when d.state is not null then a.message end as said
     from unnest($1::uuid[], $2::text[]) with ordinality g(event_id, destination, n)
     left join outbox.deliveries d on d.event_id = g.event_id and d.destination = g.destination
     left join lateral (select 'delivered' as state from outbox.delivered
                        where event_id = g.event_id and destination = g.destination limit 1) e on d.event_id is null
     left join lateral (select message from outbox.attempts where event_id = g.event_id and destination = g.destination
                        order by at desc, try desc limit 1) a on true
     order by g.n`,
    [deliveries.map(({ eventId }) => eventId), deliveries.map(({ destination }) => destination)],
  );
}
