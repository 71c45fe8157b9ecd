import { firstOf, rowsOf, type Queryable } from './connect.ts';
import { iso } from './isoColumn.ts';

/** Deliveries of one destination by state. */
export interface DestinationCounts {
  readonly destination: string;
  /** Ready to be claimed. */
  readonly pending: number;
  /** Waiting for their `deliver_at`. */
  readonly scheduled: number;
  /** Waiting for an earlier one of their key. */
  readonly blocked: number;
  /** Claimed, in their first attempt. */
  readonly delivering: number;
  readonly retrying: number;
  /** Waiting for a person. */
  readonly parked: number;
}

/**
 * One pass over outbox.deliveries, destinations without any included.
 *
 * Measured with 1,000,000 rows pending at 10 destinations: 0.24 s, vacuumed or not. Counting only the pending ones through
 * deliveries_to_claim took 0.31 s before a vacuum (which after a burst is when one asks) and 0.16 to 0.25 s after it.
 */
export async function countDeliveries(db: Queryable): Promise<DestinationCounts[]> {
  return rowsOf<DestinationCounts>(
    db,
    `select coalesce(d.name, c.destination) as destination,
            coalesce(sum(c.n) filter (where c.state = 'pending'), 0)::float8 as pending,
            coalesce(sum(c.n) filter (where c.state = 'scheduled'), 0)::float8 as scheduled,
            coalesce(sum(c.n) filter (where c.state = 'blocked'), 0)::float8 as blocked,
            coalesce(sum(c.n) filter (where c.state = 'claimed'), 0)::float8 as delivering,
            coalesce(sum(c.n) filter (where c.state = 'retry'), 0)::float8 as retrying,
            coalesce(sum(c.n) filter (where c.state = 'parked'), 0)::float8 as parked
     from outbox.destinations d
     full join (select destination, state, count(*) as n from outbox.deliveries group by destination, state) c
       on c.destination = d.name
     group by 1 order by 1`,
  );
}

export interface LaneStanding {
  readonly destination: string;
  /** Of the pending delivery whose turn is next, by the database's clock; null when none is pending. */
  readonly oldestPendingMs: number | null;
  /** Label (`host:pid`) of the relay that owns the lane now; null when none does. */
  readonly relay: string | null;
  readonly pausedReason: string | null;
  readonly paused: boolean;
  readonly circuit: 'closed' | 'open' | 'half-open';
  /** Why its circuit is not closed. */
  readonly circuitReason: string | null;
  /** Since when it is paused, else since when its circuit is as it is; null for one that never failed. */
  readonly since: string | null;
  readonly nextProbeAt: string | null;
  /** Until when the receiver itself asked not to be called, by Retry-After; null when it did not, or that is over. */
  readonly waitUntil: string | null;
}

/** One index probe per destination, whatever waits there. */
export async function readLanes(db: Queryable): Promise<LaneStanding[]> {
  return rowsOf<LaneStanding>(
    db,
    `select d.name as destination, r.label as relay, d.paused_at is not null as paused, d.paused_reason as "pausedReason",
            coalesce(c.state, 'closed') as circuit, c.reason as "circuitReason", ${iso('coalesce(d.paused_at, c.since)')} as since,
            ${iso(`case when c.state = 'open' then c.next_probe_at end`)} as "nextProbeAt",
            ${iso(`case when c.state = 'closed' and c.wait_until > now() then c.wait_until end`)} as "waitUntil",
            (outbox.seconds_since(e.created_at) * 1000)::float8 as "oldestPendingMs"
     from outbox.destinations d
     left join outbox.circuits c on c.destination = d.name
     left join outbox.lanes l on l.name = d.name
     left join outbox.relays r on r.id = l.owner and r.lease_until > now()
     left join lateral (select event_id from outbox.deliveries
                        where destination = d.name and state = 'pending' order by seq limit 1) p on true
     left join lateral (select created_at from outbox.events where id = p.event_id
                        union all select created_at from outbox.events_kept where id = p.event_id limit 1) e on true
     order by d.name`,
  );
}

/** A key that a failed delivery holds up. */
export interface BlockedKey {
  readonly destination: string;
  readonly key: string;
  readonly headEventId: string;
  readonly headState: 'retry' | 'parked';
  /** Of a parked head. */
  readonly deadLetterId: number | null;
  /** Deliveries of this key behind the head. */
  readonly waiting: number;
  /** Since the head was parked, or first failed. */
  readonly blockedMs: number;
}

/** Keys that deliveries wait for, the longest blocked first; with `head` only the one that this delivery holds up. */
export async function readBlockedKeys(
  db: Queryable,
  limit: number,
  head: { readonly eventId: string; readonly destination: string } | null = null,
): Promise<BlockedKey[]> {
  return rowsOf<BlockedKey>(
    db,
    // First the heads that anybody waits behind: one of the two sides may be long, a hundred thousand letters or a million rows that wait.
    `with held as materialized
       (select h.destination, h.key, h.event_id, h.state, h.first_attempt_at from outbox.deliveries h
        where h.key is not null and h.state in ('claimed', 'retry', 'parked') and h.state <> 'claimed'
          and exists (select from outbox.deliveries d
                      where d.destination = h.destination and d.key = h.key and d.key is not null and d.state in ('pending', 'blocked'))
          and ($2::uuid is null or h.event_id = $2 and h.destination = $3)),
     longest as
       (select h.*, l.id::float8 as letter, (extract(epoch from now() - coalesce(l.parked_at, h.first_attempt_at)) * 1000)::float8 as blocked_ms
        from held h
        left join outbox.dead_letters l on l.event_id = h.event_id and l.destination = h.destination and l.resolved_at is null
        order by blocked_ms desc limit $1)
     select h.destination, h.key, h.event_id as "headEventId", h.state as "headState", h.letter as "deadLetterId", w.waiting, h.blocked_ms as "blockedMs"
     from longest h
     cross join lateral (select count(*)::float8 as waiting from outbox.deliveries d
                         where d.destination = h.destination and d.key = h.key and d.key is not null and d.state in ('pending', 'blocked')) w
     order by h.blocked_ms desc`,
    [limit, head?.eventId, head?.destination],
  );
}

export interface RelayStanding {
  readonly label: string;
  readonly startedAt: string;
  readonly seenMsAgo: number;
  readonly lanes: number;
}

/** Relays heard of within the last 15 seconds (they report every two). */
export async function readRelays(db: Queryable): Promise<RelayStanding[]> {
  return rowsOf<RelayStanding>(
    db,
    `select r.label, to_char(r.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "startedAt",
            (extract(epoch from now() - r.seen_at) * 1000)::float8 as "seenMsAgo",
            (select count(*) from outbox.lanes l where l.owner = r.id and r.lease_until > now())::float8 as lanes
     from outbox.relays r where r.seen_at > now() - interval '15 seconds' order by r.started_at, r.label`,
  );
}

/** What a worker was answered and PostgreSQL does not take. */
export interface UnwrittenOutcomes {
  /** `host:pid` of the process. */
  readonly worker: string;
  readonly outcomes: number;
  readonly waitedMs: number;
  /** What PostgreSQL said last. */
  readonly says: string;
}

/** Of workers heard of within the last 15 seconds (they report every second). */
export async function readUnwritten(db: Queryable): Promise<UnwrittenOutcomes[]> {
  return rowsOf<UnwrittenOutcomes>(
    db,
    `select label as worker, unwritten::float8 as outcomes, (extract(epoch from now() - unwritten_since) * 1000)::float8 as "waitedMs",
            coalesce(unwritten_says, '') as says
     from outbox.workers where unwritten > 0 and seen_at > now() - interval '15 seconds' order by unwritten_since, label`,
  );
}

export interface UnroutedCount {
  readonly type: string;
  readonly events: number;
}

/** Events that no route took, the most frequent types first; at most `limit` types. */
export async function countUnrouted(db: Queryable, limit = 50): Promise<UnroutedCount[]> {
  return rowsOf<UnroutedCount>(
    db,
    'select type, count(*)::float8 as events from outbox.unrouted group by type order by 2 desc, 1 limit $1',
    [limit],
  );
}

export async function isUnrouted(db: Queryable, eventId: string): Promise<boolean> {
  const row = await firstOf<{ found: boolean }>(
    db,
    'select exists (select from outbox.unrouted where event_id = $1) as found',
    [eventId],
  );
  return row?.found === true;
}

/** Whole days from now for which every partitioned table has room. */
export async function daysAhead(db: Queryable): Promise<number> {
  const row = await firstOf<{ days: number }>(db, 'select outbox.days_ahead() as days');
  return row?.days ?? 0;
}

export interface DatabaseFacts {
  /** `18.4` */
  readonly version: string;
  readonly user: string;
  readonly standby: boolean;
  /** By the default of its role or database. */
  readonly readOnly: boolean;
  /** Our group roles that do not exist in this cluster. */
  readonly missingRoles: readonly string[];
}

export async function readDatabaseFacts(db: Queryable): Promise<DatabaseFacts> {
  const row = await firstOf<DatabaseFacts>(
    db,
    `select split_part(current_setting('server_version'), ' ', 1) as version, current_user as user,
            pg_is_in_recovery() as standby,
            exists (select from pg_settings where name = 'default_transaction_read_only' and reset_val = 'on') as "readOnly",
            coalesce((select array_agg(wanted order by wanted)
                      from unnest(array['outbox_producer', 'outbox_api', 'outbox_relay', 'outbox_operator', 'outbox_migrator']) wanted
                      where not exists (select from pg_roles where rolname = wanted)), '{}') as "missingRoles"`,
  );
  if (row === undefined) throw new Error('PostgreSQL answered no row');
  return row;
}

/** Which operator PostgreSQL will use for a route's filter; `null` when there is no schema yet. Throws on a bad jsonpath. */
export async function classifyFilter(db: Queryable, filter: string): Promise<'predicate' | 'items' | null> {
  const present = await firstOf<{ present: boolean }>(
    db,
    `select to_regprocedure('outbox.filter_mode(jsonpath)') is not null as present`,
  );
  const expression = present?.present === true ? 'outbox.filter_mode($1::jsonpath)' : 'null::text';
  const row = await firstOf<{ mode: 'predicate' | 'items' | null }>(
    db,
    `select ${expression} as mode, $1::jsonpath is not null as parsed`,
    [filter],
  );
  return row?.mode ?? null;
}
