/** Events by what people know of them, newest first. Times are ISO 8601 in UTC. */
import type { EventState } from '../core/eventState.ts';
import { likePattern } from '../core/pattern.ts';
import { rowsOf, type Queryable } from './connect.ts';
import { iso } from './isoColumn.ts';

/** Which events are meant; every field given must hold. `state` and `destination` are of one and the same delivery. */
export interface EventFilter {
  readonly key?: string;
  /** Event type, `*` for any run of characters, as in routes. */
  readonly type?: string;
  /** ISO 8601; events whose id is of that moment or later. */
  readonly since?: string;
  readonly state?: EventState;
  readonly destination?: string;
}

export interface ListedEvent {
  readonly id: string;
  readonly type: string;
  readonly key: string | null;
  readonly source: string | null;
  readonly subject: string | null;
  readonly createdAt: string;
  readonly deliverAt: string | null;
  readonly erasedAt: string | null;
  /** Its day was dropped, and it was kept because a delivery was unsettled. */
  readonly kept: boolean;
  readonly unrouted: boolean;
  /** Where it went, by name. Empty for one that no route took, and once all about its deliveries is past its retention. */
  readonly standings: readonly EventStanding[];
}

/** One delivery, in short; {@link readDeliveries} says more. */
export interface EventStanding {
  readonly destination: string;
  /** A state of its row, `delivered`, or what a person did that ended it: `discarded`, `redirected`. */
  readonly state: string;
}

/**
 * Newest first, only ids below `before` (null: from the newest); keyset, so a page costs the same however deep it is.
 *
 * By key: one look into each day's index. By a state of what is not settled, or `unrouted`: the few rows there are of it. Else the days are
 * read backwards until `limit` events are found, so a type or destination that is rare is better asked for with `since`.
 */
export async function listEvents(
  db: Queryable,
  filter: EventFilter,
  before: string | null,
  limit: number,
): Promise<ListedEvent[]> {
  const found = await rowsOf<Omit<ListedEvent, 'standings'>>(db, ...queryOf(filter, before, limit));
  const standings = await readStandings(
    db,
    found.map(({ id }) => id),
  );
  return found.map((event) => ({ ...event, standings: standings.get(event.id) ?? [] }));
}

const columns = `e.id, e.type, e.key, e.source, e.subject, ${iso('e.created_at')} as "createdAt", ${iso('e.deliver_at')} as "deliverAt",
  ${iso('e.erased_at')} as "erasedAt", e.kept, exists (select from outbox.unrouted u where u.event_id = e.id) as unrouted`;
const stored = 'id, type, key, source, subject, created_at, deliver_at, erased_at';

function queryOf(filter: EventFilter, before: string | null, limit: number): [string, unknown[]] {
  const values: unknown[] = [limit];
  const value = (given: unknown): string => `$${values.push(given)}`;
  const conditions = [
    ...(before === null ? [] : [`e.id < ${value(before)}::uuid`]),
    ...(filter.since === undefined
      ? []
      : [`e.id >= outbox.uuid7_floor(${value(filter.since)}::timestamptz)`]),
    ...(filter.key === undefined ? [] : [`e.key = ${value(filter.key)}`]),
    ...(filter.type === undefined ? [] : [`e.type like ${value(likePattern(filter.type))}`]),
  ];
  const rows = deliveryRows(filter, value);
  // Few rows name the events: they are read backwards by their own primary key, and each event is looked up.
  if (rows !== undefined && rows.few && filter.key === undefined) {
    return [
      `select ${columns}
       from (select distinct d.event_id from ${rows.from} order by d.event_id desc) d
       cross join lateral (select ${stored}, false as kept from outbox.events where id = d.event_id
                           union all select ${stored}, true from outbox.events_kept where id = d.event_id limit 1) e
       ${where(conditions)} order by d.event_id desc limit $1`,
      values,
    ];
  }
  const all =
    rows === undefined
      ? conditions
      : [...conditions, `exists (select from ${rows.from} and d.event_id = e.id)`];
  const part = (table: string, kept: boolean): string =>
    `(select ${stored}, ${kept} as kept from outbox.${table} e ${where(all)} order by e.id desc limit $1)`;
  return [
    `select ${columns} from (${part('events', false)} union all ${part('events_kept', true)}) e order by e.id desc limit $1`,
    values,
  ];
}

function where(conditions: readonly string[]): string {
  return conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`;
}

/** What follows `from` for the rows, called `d`, that hold a state or a destination; `few`: all of them are read rather than the events. */
function deliveryRows(
  { state, destination }: EventFilter,
  value: (given: unknown) => string,
): { from: string; few: boolean } | undefined {
  if (state === 'unrouted') {
    // It went nowhere: with a destination nothing matches.
    const nowhere = destination === undefined ? 'true' : 'false';
    return { from: `outbox.unrouted d where ${nowhere}`, few: true };
  }
  if (state === undefined && destination === undefined) return undefined;
  const at = destination === undefined ? '' : `d.destination = ${value(destination)}`;
  if (state === undefined) {
    const tables = ['deliveries', 'delivered', 'dead_letters'];
    const union = tables
      .map((table) => `select event_id, destination from outbox.${table}`)
      .join(' union all ');
    return { from: `(${union}) d where ${at}`, few: false };
  }
  const conditions = at === '' ? 'true' : at;
  if (state === 'delivered') return { from: `outbox.delivered d where ${conditions}`, few: false };
  return { from: `outbox.deliveries d where d.state = ${value(state)} and ${conditions}`, few: true };
}

async function readStandings(db: Queryable, ids: readonly string[]): Promise<Map<string, EventStanding[]>> {
  const byEvent = new Map<string, EventStanding[]>();
  if (ids.length === 0) return byEvent;
  const rows = await rowsOf<EventStanding & { id: string }>(
    db,
    `select event_id as id, destination, state from outbox.deliveries where event_id = any ($1::uuid[])
     union all select event_id, destination, 'delivered' from outbox.delivered where event_id = any ($1::uuid[])
     union all select event_id, destination, resolution || 'ed'
     from outbox.dead_letters where event_id = any ($1::uuid[]) and resolution in ('discard', 'redirect')
     order by 1, 2`,
    [ids],
  );
  for (const { id, destination, state } of rows)
    byEvent.set(id, [...(byEvent.get(id) ?? []), { destination, state }]);
  return byEvent;
}
