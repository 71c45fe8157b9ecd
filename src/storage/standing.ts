/** How things stand, for those who watch: cheap however many rows wait, but for the counts, which look at every row. */
import { firstOf, rowsOf, type Queryable } from './connect.ts';

export const healthStates = ['closed', 'half-open', 'open', 'paused'] as const;
export type HealthState = (typeof healthStates)[number];

/** Its circuit, refusals that were all alike (which pause a destination by themselves), or a person. */
export const holdCauses = ['circuit', 'refusals', 'person'] as const;
export type HoldCause = (typeof holdCauses)[number];

/** One destination, as its lane stands. */
export interface LaneStanding {
  readonly destination: string;
  /**
   * Seconds that the oldest due delivery has waited for its first attempt to end, pending or claimed, on the database's clock. What
   * was scheduled counts from its `deliver_at`; what is scheduled, retrying, blocked or parked does not count. 0 when nothing waits.
   */
  readonly lagSeconds: number;
  /** Paused goes before its circuit's state. */
  readonly state: HealthState;
  /** Why nothing is sent to it but probes; null while it is closed. */
  readonly heldBy: HoldCause | null;
  /** Since it was paused, else since the outage at hand opened its circuit; 0 while it is closed. */
  readonly heldSeconds: number;
  /** Of the outage at hand; 0 while its circuit is closed. */
  readonly failedProbes: number;
  /** Whether a relay owns the lane now. */
  readonly held: boolean;
}

/** Three index probes a destination, whatever waits there. `waiting`: only of those for which something may be late. */
export async function readLaneStandings(db: Queryable, waiting = false): Promise<LaneStanding[]> {
  return rowsOf<LaneStanding>(
    db,
    `select d.name as destination, r.id is not null as held,
            case when d.paused_at is not null then 'paused' else coalesce(o.state, 'closed') end as state,
            case when d.paused_at is null then case when o.state is not null then 'circuit' end
                 when d.paused_by_refusals then 'refusals' else 'person' end as "heldBy",
            coalesce(extract(epoch from now() - coalesce(d.paused_at, o.opened_at)), 0)::float8 as "heldSeconds",
            coalesce(o.failed_probes, 0) as "failedProbes",
            coalesce(outbox.seconds_since(least(${dueOf('p')}, ${dueOf('c')})), 0) as "lagSeconds"
     from outbox.destinations d
     left join outbox.lanes l on l.name = d.name
     left join outbox.relays r on r.id = l.owner and r.lease_until > now()
     left join outbox.circuits o on o.destination = d.name and o.state <> 'closed'
     left join lateral (select event_id from outbox.deliveries
                        where destination = d.name and state = 'pending' order by seq limit 1) p on true
     left join lateral (select r.event_id from outbox.batches b
                        cross join lateral (select event_id from outbox.deliveries
                                            where batch_id = b.id and state = 'claimed' order by seq limit 1) r
                        where b.lane = d.name and b.active and b.open > 0 order by b.claimed_at limit 1) c on true
     ${waiting ? `where d.name = any (array(${withWork}))` : ''}
     order by d.name`,
  );
}

/** Lanes with something pending or claimed: one probe for each of them, none for those that are quiet. */
const withWork = `
  with recursive w as (
    (select destination as name from outbox.deliveries where state = 'pending' order by destination, seq limit 1)
    union all
    select (select destination from outbox.deliveries where state = 'pending' and destination > w.name order by destination, seq limit 1)
    from w where w.name is not null)
  select name from w where name is not null
  union all select lane from outbox.batches where active and open > 0`;

/** When the event of row `alias` became due. */
function dueOf(alias: string): string {
  const from = (table: string): string =>
    `select greatest(created_at, deliver_at) as at from outbox.${table} where id = ${alias}.event_id`;
  return `(select at from (${from('events')} union all ${from('events_kept')}) e limit 1)`;
}

/** Who is at work, and by which configuration. */
export interface Alive {
  readonly configRevision: number;
  /** Relays and workers heard of within the last 15 seconds. */
  readonly relays: number;
  readonly workers: number;
}

const aliveColumns = `s.config_revision as "configRevision",
            (select count(*) from outbox.relays where seen_at > now() - interval '15 seconds')::float8 as relays,
            (select count(*) from outbox.workers where seen_at > now() - interval '15 seconds')::float8 as workers`;

export async function readAlive(db: Queryable): Promise<Alive> {
  const row = await firstOf<Alive>(db, `select ${aliveColumns} from outbox.settings s`);
  if (row === undefined) throw new Error('outbox.settings has no row');
  return row;
}

export interface DatabaseStanding extends Alive {
  readonly partitionsAheadDays: number;
  /** Since a pass of housekeeping last came to its end, or the schema was made. */
  readonly housekeepingAgeSeconds: number;
  /** Of the oldest transaction that holds dead rows back; null where the database does not tell. */
  readonly oldestTransactionSeconds: number | null;
  /** By table, as PostgreSQL's statistics have it. */
  readonly deadTuples: Readonly<Record<string, number>>;
}

export async function readDatabaseStanding(db: Queryable): Promise<DatabaseStanding> {
  const row = await firstOf<DatabaseStanding>(
    db,
    `select ${aliveColumns},
            outbox.days_ahead() as "partitionsAheadDays",
            (select extract(epoch from now() - ended_at) from outbox.housekeeping)::float8 as "housekeepingAgeSeconds",
            outbox.oldest_transaction_seconds() as "oldestTransactionSeconds",
            (select jsonb_object_agg(relname, n_dead_tup) from pg_stat_user_tables
             where schemaname = 'outbox' and relname in ('deliveries', 'batches')) as "deadTuples"
     from outbox.settings s`,
  );
  if (row === undefined) throw new Error('outbox.settings has no row');
  return row;
}

export interface Writable {
  /** A standby, or set to read-only: ours write all the same, producers do not. */
  readonly readOnly: boolean;
}

/** One round trip that tells whether this server could be written to. */
export async function readWritable(db: Queryable): Promise<Writable> {
  const row = await firstOf<Writable>(
    db,
    `select pg_is_in_recovery() or current_setting('transaction_read_only') = 'on'
            or exists (select from pg_settings where name = 'default_transaction_read_only' and reset_val = 'on') as "readOnly"`,
  );
  return row ?? { readOnly: true };
}
