/** Everything of ours under /metrics: names, units and meanings. docs/metrics.md lists them; a test compares. */
import type { LaneStanding } from '../storage/standing.ts';
import type { DestinationCounts, UnroutedCount } from '../storage/status.ts';
import type { Family, Sample } from './exposition.ts';
import { maximumTypes, type Counts, type Standing } from './standing.ts';
import { maximumDestinations, others, type DestinationTally, type Tally } from './tally.ts';

/** What is at hand for a scrape. Undefined: it could not be asked, or this process has no such part. */
export interface Scraped {
  readonly version: string;
  readonly tally: Tally;
  readonly standing: Standing | undefined;
  readonly counts: Counts | undefined;
  readonly databaseUp: boolean;
  readonly temporalUp: boolean | undefined;
  /** Lanes that the relay of this process holds. */
  readonly lanesHeld: number | undefined;
  /** Of the Temporal worker in this process: whether it polls. */
  readonly workerUp: boolean | undefined;
}

export function familiesOf(scraped: Scraped): Family[] {
  return [
    ...ofProcess(scraped),
    ...ofTally(scraped.tally),
    ...ofStanding(scraped.standing),
    ...ofCounts(scraped.counts),
  ];
}

function ofProcess({ version, databaseUp, temporalUp, lanesHeld, workerUp }: Scraped): Family[] {
  return [
    gauge('outbox_info', 'Always 1; what runs is in its labels.', [{ labels: { version }, value: 1 }]),
    gauge('outbox_database_up', 'Whether PostgreSQL answered this scrape: 1 or 0.', flag(databaseUp)),
    gauge(
      'outbox_temporal_up',
      'Whether Temporal answered within the last seconds: 1 or 0.',
      flag(temporalUp),
    ),
    gauge('outbox_worker_up', 'Whether the Temporal worker in this process polls: 1 or 0.', flag(workerUp)),
    gauge('outbox_relay_lanes', 'Lanes that the relay in this process holds.', one(lanesHeld)),
  ];
}

function ofTally(tally: Tally): Family[] {
  const each = [...tally.byDestination];
  const by = <Key extends string>(pick: (tally: DestinationTally) => Record<Key, number>): Sample[] =>
    each.flatMap(([destination, one]) =>
      Object.entries<number>(pick(one)).map(([outcome, value]) => ({
        labels: { destination, outcome },
        value,
      })),
    );
  const requests = each.map(([destination, { duration }]) => ({ labels: { destination }, value: duration }));
  const resolutions = [...tally.resolutions].flatMap(([action, byOutcome]) =>
    [...byOutcome].map(([outcome, value]) => ({ labels: { action, outcome }, value })),
  );
  const starts = Object.entries(tally.startsBy).map(([outcome, value]) => ({ labels: { outcome }, value }));
  return [
    counter(
      'outbox_requests_total',
      'Attempts by what they came to: acknowledged, refused, unreachable, or aborted by us.',
      by((t) => t.sent),
    ),
    counter(
      'outbox_deliveries_total',
      'Deliveries written as delivered, to be retried, or parked after an attempt.',
      by((t) => t.settled),
    ),
    {
      name: 'outbox_request_duration_seconds',
      type: 'histogram',
      help: 'How long an attempt took, answered or not.',
      samples: requests,
    },
    gauge('outbox_requests_in_flight', 'Requests under way in this process.', one(tally.underWay)),
    histogram(
      'outbox_flush_duration_seconds',
      'Writing outcomes to PostgreSQL, retries of the write included.',
      tally.flushes,
    ),
    histogram(
      'outbox_poll_duration_seconds',
      'Asking PostgreSQL for work, whether or not there was any.',
      tally.polls,
    ),
    histogram('outbox_batch_rows', 'Deliveries in a claimed batch.', tally.batches),
    counter(
      'outbox_workflow_starts_total',
      'Starts of deliver workflows: started, or failed and tried again.',
      starts,
    ),
    histogram('outbox_workflow_start_duration_seconds', 'A start until Temporal answered.', tally.starts),
    counter(
      'outbox_resolutions_total',
      'Commands to dead letters that were carried out here, or refused.',
      resolutions,
    ),
  ];
}

function ofStanding(standing: Standing | undefined): Family[] {
  if (standing === undefined) return [];
  const { database } = standing;
  const lanes = capped(standing.lanes, joinLanes);
  const held = standing.lanes.filter((lane) => lane.held).length;
  const dead = Object.entries(database.deadTuples).map(([table, value]) => ({ labels: { table }, value }));
  return [
    gauge(
      'outbox_lag_seconds',
      'Age of the oldest due delivery that has not come through its first attempt; 0 when none waits.',
      perDestination(lanes, (lane) => lane.lagSeconds),
    ),
    gauge(
      'outbox_destination_paused',
      'Whether a destination is paused: 1 or 0.',
      perDestination(lanes, (lane) => Number(lane.paused)),
    ),
    gauge('outbox_relays', 'Relays that are alive.', one(database.relays)),
    gauge('outbox_lanes', 'Lanes by whether a relay holds them.', [
      { labels: { held: 'yes' }, value: held },
      { labels: { held: 'no' }, value: standing.lanes.length - held },
    ]),
    gauge(
      'outbox_config_revision',
      'The configuration revision that the database holds; 0 when none was applied.',
      one(database.configRevision),
    ),
    gauge(
      'outbox_partitions_ahead',
      'Partitions, of a day each, made ahead. At 0 inserts of producers fail.',
      one(database.partitionsAheadDays),
    ),
    gauge(
      'outbox_oldest_transaction_seconds',
      'Age of the oldest transaction in this database that keeps dead rows from being removed.',
      one(database.oldestTransactionSeconds ?? undefined),
    ),
    gauge('outbox_dead_tuples', "Dead rows of the hot tables, by PostgreSQL's statistics.", dead),
  ];
}

function ofCounts(counts: Counts | undefined): Family[] {
  if (counts === undefined) return [];
  const samples = capped(counts.deliveries, joinCounts).flatMap(({ destination, ...states }) =>
    Object.entries(states).map(([state, value]) => ({ labels: { destination, state }, value })),
  );
  return [
    gauge(
      'outbox_deliveries',
      'Unsettled deliveries by state: pending, scheduled, blocked, delivering, retrying, parked.',
      samples,
    ),
    gauge('outbox_unrouted_events', 'Events that no route took, by type.', unroutedSamples(counts.unrouted)),
  ];
}

/** The most frequent types; the rest as one, named as no type of ours is. */
function unroutedSamples(unrouted: readonly UnroutedCount[]): Sample[] {
  const rest = unrouted.slice(maximumTypes).reduce((sum, { events }) => sum + events, 0);
  const named = unrouted
    .slice(0, maximumTypes)
    .map(({ type, events }) => ({ labels: { type }, value: events }));
  return rest === 0 ? named : [...named, { labels: { type: others }, value: rest }];
}

/** The first ones by name, the same in every process; the rest as one. */
function capped<Row extends { readonly destination: string }>(
  rows: readonly Row[],
  join: (a: Row, b: Row) => Row,
): Row[] {
  const rest = rows.slice(maximumDestinations);
  const [first] = rest;
  const named = rows.slice(0, maximumDestinations);
  return first === undefined
    ? named
    : [...named, { ...rest.slice(1).reduce(join, first), destination: others }];
}

function joinLanes(a: LaneStanding, b: LaneStanding): LaneStanding {
  return {
    destination: others,
    lagSeconds: Math.max(a.lagSeconds, b.lagSeconds),
    paused: a.paused || b.paused,
    held: a.held && b.held,
  };
}

function joinCounts(a: DestinationCounts, b: DestinationCounts): DestinationCounts {
  return {
    destination: others,
    pending: a.pending + b.pending,
    scheduled: a.scheduled + b.scheduled,
    blocked: a.blocked + b.blocked,
    delivering: a.delivering + b.delivering,
    retrying: a.retrying + b.retrying,
    parked: a.parked + b.parked,
  };
}

function perDestination(lanes: readonly LaneStanding[], valueOf: (lane: LaneStanding) => number): Sample[] {
  return lanes.map((lane) => ({ labels: { destination: lane.destination }, value: valueOf(lane) }));
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: 'gauge', samples };
}

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: 'counter', samples };
}

function histogram(name: string, help: string, value: Sample['value']): Family {
  return { name, help, type: 'histogram', samples: [{ value }] };
}

function one(value: number | undefined): Sample[] {
  return value === undefined ? [] : [{ value }];
}

function flag(value: boolean | undefined): Sample[] {
  return one(value === undefined ? undefined : Number(value));
}
