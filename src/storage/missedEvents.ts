/** Events that no trigger saw: they have no delivery, and stand in no list. */
import { firstOf, inReadOnly, inTransaction, rowsOf, type Pool, type Queryable } from './connect.ts';

export interface MissedEvents {
  readonly events: number;
  /** The most frequent types first. */
  readonly byType: readonly { readonly type: string; readonly events: number }[];
  /**
   * ISO 8601: events written since then were looked at; null when none could be, as delivered rows are not kept and nothing
   * tells a delivered event from a missed one.
   */
  readonly since: string | null;
  /** False when the time given was used up before everything that can be known was looked at. */
  readonly complete: boolean;
}

const hourMs = 3_600_000;
/** An id may be older than its row: a producer may make it a while before it writes. */
const idsBeforeRowsMs = 24 * hourMs;
const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/**
 * Looks from the newest backwards in slices that double, for as long as `budgetMs` allows: a day of millions is not read whole because
 * somebody asked how things are.
 */
export async function findMissedEvents(pool: Pool, budgetMs: number): Promise<MissedEvents> {
  const { now, since } = await knownSince(pool);
  if (since === null) return { events: 0, byType: [], since: null, complete: true };
  const counts = new Map<string, number>();
  const endsAt = Date.now() + budgetMs;
  const oldest = since - idsBeforeRowsMs;
  let reached = now;
  let complete = true;
  for (let [from, to, width] = [now - hourMs, lastId, hourMs]; ; width *= 2, from -= width) {
    const remainingMs = endsAt - Date.now();
    const found = remainingMs < 50 ? null : await countSlice(pool, from, to, remainingMs);
    if (found === null) {
      complete = false;
      break;
    }
    for (const { type, events } of found) counts.set(type, (counts.get(type) ?? 0) + events);
    reached = from;
    if (from <= oldest) break;
    to = floorId(from);
  }
  const byType = [...counts]
    .map(([type, events]) => ({ type, events }))
    .sort((a, b) => b.events - a.events || a.type.localeCompare(b.type));
  return {
    events: byType.reduce((sum, { events }) => sum + events, 0),
    byType,
    since: new Date(complete ? since : reached).toISOString(),
    complete,
  };
}

/** The database's now, and since when a routed event surely shows it, both as unix milliseconds. */
async function knownSince(db: Queryable): Promise<{ now: number; since: number | null }> {
  const row = await firstOf<{ now: number; since: number | null }>(
    db,
    `select extract(epoch from now())::float8 * 1000 as now,
            case when isfinite(since) then extract(epoch from greatest(since, oldest)) * 1000 end::float8 as since
     from (select outbox.routing_known_since() as since, now() - 2 * outbox.retention_of('events') as oldest) s`,
  );
  return { now: row?.now ?? Date.now(), since: row?.since ?? null };
}

type TypeCount = MissedEvents['byType'][number];

/** Null when it took longer than `limitMs`. */
async function countSlice(
  pool: Pool,
  from: number,
  to: string,
  limitMs: number,
): Promise<TypeCount[] | null> {
  try {
    return await inReadOnly(pool, limitMs, (client) =>
      rowsOf<TypeCount>(
        client,
        `select type, count(*)::float8 as events from outbox.missed_events where id >= $1 and id < $2 group by type`,
        [floorId(from), to],
      ),
    );
  } catch (error) {
    if ((error as { code?: unknown }).code === '57014') return null;
    throw error;
  }
}

export interface RoutedMissed {
  /** Events that were routed; some of them perhaps to no destination. */
  readonly events: number;
  readonly deliveries: number;
  /** Their dedup key names another event by now. */
  readonly refused: number;
}

export interface RouteMissedOptions {
  readonly actor: string;
  readonly reason: string | null;
  /** Told after each portion. */
  readonly onPortion?: (soFar: RoutedMissed) => void;
}

const portion = 1_000;

/** Routes all that can be known to be missed, oldest first, in small transactions. */
export async function routeMissedEvents(pool: Pool, options: RouteMissedOptions): Promise<RoutedMissed> {
  const { now, since } = await knownSince(pool);
  const total = { events: 0, deliveries: 0, refused: 0 };
  if (since === null) return total;
  for (let from = since - idsBeforeRowsMs; from < now + hourMs; from += hourMs) {
    const to = from + hourMs >= now + hourMs ? lastId : floorId(from + hourMs);
    for (let after: string | null = floorId(from); after !== null;) {
      const done: (RoutedMissed & { last: string | null }) | undefined = await routePortion(
        pool,
        after,
        to,
        options,
      );
      after = done?.last ?? null;
      if (done === undefined || done.last === null) break;
      total.events += done.events;
      total.deliveries += done.deliveries;
      total.refused += done.refused;
      options.onPortion?.({ ...total });
    }
  }
  return total;
}

async function routePortion(
  pool: Pool,
  after: string,
  to: string,
  { actor, reason }: RouteMissedOptions,
): Promise<(RoutedMissed & { last: string | null }) | undefined> {
  return inTransaction(pool, (client) =>
    firstOf<RoutedMissed & { last: string | null }>(
      client,
      'select events, deliveries, refused, last from outbox.route_missed($1, $2, $3, $4, $5)',
      [after, to, portion, actor, reason],
    ),
  );
}

/** The smallest UUIDv7 of that millisecond. */
function floorId(unixMs: number): string {
  const time = Math.max(0, Math.floor(unixMs)).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-0000-0000-000000000000`;
}
