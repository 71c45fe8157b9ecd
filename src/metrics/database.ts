/** What the database says: every process exports the same. */
import type { MessageCounts } from '../storage/messages.ts';
import { isNobodys, type LackingWork } from '../storage/lacking.ts';
import {
  healthStates,
  holdCauses,
  type HealthState,
  type HoldCause,
  type LaneStanding,
} from '../storage/standing.ts';
import type { DestinationCounts, UnroutedCount } from '../storage/status.ts';
import type { Family, Sample } from './exposition.ts';
import { gauge, one } from './makers.ts';
import { maximumTypes, type Counts, type Standing } from './standing.ts';
import { maximumDestinations, others } from './tally.ts';

export function ofStanding(standing: Standing | undefined): Family[] {
  if (standing === undefined) return [];
  const { database } = standing;
  const lanes = capped(standing.lanes.map(laneSeries), 'destination', joinLanes);
  const held = standing.lanes.filter((lane) => lane.held).length;
  const dead = Object.entries(database.deadTuples).map(([table, value]) => ({ labels: { table }, value }));
  return [
    gauge(
      'outbox_lag_seconds',
      'Age of the oldest due delivery that has not come through its first attempt; 0 when none waits.',
      perDestination(lanes, (lane) => lane.lagSeconds),
    ),
    gauge(
      'outbox_destination_state',
      'Whether a destination is in this state: closed (all is well), half-open or open (its circuit), or paused.',
      perDestinationAnd('state', lanes, (lane) => lane.states),
    ),
    gauge(
      'outbox_destination_held_seconds',
      'For how long nothing but probes has been sent to a destination, by what holds it: its circuit, refusals that were all alike, a person. 0 when it does not.',
      perDestinationAnd('cause', lanes, (lane) => lane.heldSeconds),
    ),
    gauge(
      'outbox_destination_failed_probes',
      'Probes in vain since the circuit opened; 0 while it is closed.',
      perDestination(lanes, (lane) => lane.failedProbes),
    ),
    gauge('outbox_relays', 'Relays that are alive.', one(database.relays)),
    gauge('outbox_workers', 'Workers that are alive.', one(database.workers)),
    gauge(
      'outbox_workers_lacking',
      'Workers that lack what it takes to send to a destination or to ask a producer back, and what; can: nobody, or others, who do it.',
      lackingSamples(standing.lacking),
    ),
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
      'outbox_housekeeping_age_seconds',
      'Since a pass of housekeeping last came to its end, or since the schema was made. One is due every hour.',
      one(database.housekeepingAgeSeconds),
    ),
    gauge(
      'outbox_oldest_transaction_seconds',
      'Age of the oldest transaction in this database that keeps dead rows from being removed.',
      one(database.oldestTransactionSeconds ?? undefined),
    ),
    gauge('outbox_dead_tuples', "Dead rows of the hot tables, by PostgreSQL's statistics.", dead),
  ];
}

export function ofCounts(counts: Counts | undefined): Family[] {
  if (counts === undefined) return [];
  const samples = capped(counts.deliveries, 'destination', joinCounts).flatMap(({ destination, ...states }) =>
    Object.entries(states).map(([state, value]) => ({ labels: { destination, state }, value })),
  );
  return [
    gauge(
      'outbox_deliveries',
      'Unsettled deliveries by state: pending, scheduled, blocked, delivering, retrying, parked.',
      samples,
    ),
    gauge('outbox_unrouted_events', 'Events that no route took, by type.', unroutedSamples(counts.unrouted)),
    ...ofHalfMessages(counts.halfMessages),
  ];
}

function ofHalfMessages(counts: readonly MessageCounts[]): Family[] {
  const rows = capped(counts, 'producer', joinMessages);
  const samples = (valueOf: (row: (typeof rows)[number]) => number): Sample[] =>
    rows.map((row) => ({ labels: { producer: row.producer }, value: valueOf(row) }));
  return [
    gauge(
      'outbox_half_messages',
      'Open half messages: prepared, overdue (past their grace time, asked back), or parked.',
      rows.flatMap(({ producer, prepared, overdue, parked }) =>
        Object.entries({ prepared: prepared - overdue, overdue, parked }).map(([state, value]) => ({
          labels: { producer, state },
          value,
        })),
      ),
    ),
    gauge(
      'outbox_half_messages_oldest_seconds',
      'Age of the oldest open half message, parked ones included; 0 when none is open.',
      samples(({ oldestMs }) => (oldestMs ?? 0) / 1000),
    ),
    gauge(
      'outbox_check_back_late_seconds',
      'How late the check-back is that is due the longest; 0 when none is due.',
      samples(({ checkLateMs }) => checkLateMs / 1000),
    ),
  ];
}

function lackingSamples(lacking: readonly LackingWork[]): Sample[] {
  return lacking.slice(0, maximumDestinations).map((work) => {
    const { kind, name, problem } = work;
    const can = isNobodys(work) ? 'nobody' : 'others';
    return { labels: { kind, name, problem: problem.slice(0, 200), can }, value: work.lacking };
  });
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
function capped<Label extends string, Row extends Readonly<Record<Label, string>>>(
  rows: readonly Row[],
  label: Label,
  join: (a: Row, b: Row) => Row,
): Row[] {
  const rest = rows.slice(maximumDestinations);
  const [first] = rest;
  const named = rows.slice(0, maximumDestinations);
  return first === undefined ? named : [...named, { ...rest.slice(1).reduce(join, first), [label]: others }];
}

interface LaneSeries {
  readonly destination: string;
  readonly lagSeconds: number;
  readonly failedProbes: number;
  /** 1 in the state that it is in; of several destinations how many are in each. */
  readonly states: Readonly<Record<HealthState, number>>;
  readonly heldSeconds: Readonly<Record<HoldCause, number>>;
}

function laneSeries(lane: LaneStanding): LaneSeries {
  const { destination, lagSeconds, failedProbes } = lane;
  return {
    ...{ destination, lagSeconds, failedProbes },
    states: record(healthStates, (state) => Number(state === lane.state)),
    heldSeconds: record(holdCauses, (cause) => (cause === lane.heldBy ? lane.heldSeconds : 0)),
  };
}

function joinLanes(a: LaneSeries, b: LaneSeries): LaneSeries {
  return {
    destination: others,
    lagSeconds: Math.max(a.lagSeconds, b.lagSeconds),
    failedProbes: Math.max(a.failedProbes, b.failedProbes),
    states: record(healthStates, (state) => a.states[state] + b.states[state]),
    heldSeconds: record(holdCauses, (cause) => Math.max(a.heldSeconds[cause], b.heldSeconds[cause])),
  };
}

function record<Key extends string>(
  keys: readonly Key[],
  valueOf: (key: Key) => number,
): Record<Key, number> {
  return Object.fromEntries(keys.map((key) => [key, valueOf(key)])) as Record<Key, number>;
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

function joinMessages(a: MessageCounts, b: MessageCounts): MessageCounts {
  return {
    producer: others,
    prepared: a.prepared + b.prepared,
    overdue: a.overdue + b.overdue,
    parked: a.parked + b.parked,
    oldestMs: Math.max(a.oldestMs ?? 0, b.oldestMs ?? 0),
    checkLateMs: Math.max(a.checkLateMs, b.checkLateMs),
  };
}

function perDestination(lanes: readonly LaneSeries[], valueOf: (lane: LaneSeries) => number): Sample[] {
  return lanes.map((lane) => ({ labels: { destination: lane.destination }, value: valueOf(lane) }));
}

function perDestinationAnd(
  label: 'state' | 'cause',
  lanes: readonly LaneSeries[],
  valuesOf: (lane: LaneSeries) => Readonly<Record<string, number>>,
): Sample[] {
  return lanes.flatMap((lane) =>
    Object.entries(valuesOf(lane)).map(([key, value]) => ({
      labels: { destination: lane.destination, [label]: key },
      value,
    })),
  );
}
