/** How everything stands: what the first page shows. Read once every few seconds, however many look. */
import { secondsOfRequests } from '../../metrics/distribution.ts';
import { listCauses, type Cause } from '../../storage/causes.ts';
import { inReadOnly, type Pool } from '../../storage/connect.ts';
import { readParkedSince } from '../../storage/deadLetters.ts';
import { readFlow, readLags, type FlowMinute } from '../../storage/flow.ts';
import { countMessages } from '../../storage/messages.ts';
import { readPausedWorkflows } from '../../storage/paused.ts';
import { readAlive, readLaneStandings } from '../../storage/standing.ts';
import {
  countDeliveries,
  countUnrouted,
  readBlockedKeys,
  readLanes,
  readUnwritten,
  type DestinationCounts,
} from '../../storage/status.ts';
import { endpoint } from '../endpoint.ts';
import { stuckOf, type Stuck } from './stuck.ts';

export const minutesShown = 60;

export interface OverviewDestination {
  readonly destination: string;
  readonly state: 'closed' | 'open' | 'half-open' | 'paused';
  readonly reason: string | null;
  readonly since: string | null;
  readonly nextProbeAt: string | null;
  /** Until when the receiver itself asked not to be called. */
  readonly waitUntil: string | null;
  readonly lagSeconds: number;
  /** Whether a relay has its lane. */
  readonly held: boolean;
  readonly counts: Omit<DestinationCounts, 'destination'>;
  /** Of each of the last 60 minutes, the oldest first. */
  readonly delivered: readonly number[];
  readonly failed: readonly number[];
  /** How late it was at worst in each of them, seconds. */
  readonly lag: readonly number[];
  /** Of the answers of the last hour, seconds; null where there were none. */
  readonly p95Seconds: number | null;
}

export interface Overview {
  /** When it was read. */
  readonly at: string;
  readonly configRevision: number;
  readonly relays: number;
  readonly workers: number;
  readonly destinations: readonly OverviewDestination[];
  /** What waits for somebody or something, the most pressing first. */
  readonly stuck: readonly Stuck[];
  readonly causes: readonly Cause[];
  readonly unrouted: readonly { readonly type: string; readonly events: number }[];
}

/** No more than the dashboard's own requests have for their answers. */
const statementMs = 8_000;

/**
 * Two connections, whose statements go one after another: of a new one the first look at a table with its partitions takes longer than most
 * of what is read here, and one for each statement made the first overview of a process a second.
 */
export async function readOverview(pool: Pool): Promise<Overview> {
  const [{ counts, causes }, found] = await Promise.all([
    inReadOnly(pool, statementMs, async (db) => ({
      counts: await countDeliveries(db),
      causes: await listCauses(db, {}, 5),
    })),
    inReadOnly(pool, statementMs, async (db) => ({
      lanes: await readLanes(db),
      standings: await readLaneStandings(db),
      flow: await readFlow(db, minutesShown),
      lags: await readLags(db, minutesShown),
      alive: await readAlive(db),
      unrouted: await countUnrouted(db, 5),
      parkedSince: await readParkedSince(db),
      keys: await readBlockedKeys(db, 5),
      messages: await countMessages(db),
      unwritten: await readUnwritten(db),
      paused: await readPausedWorkflows(db, 5),
    })),
  ]);
  const { lanes, standings, flow, lags, alive, unrouted } = found;
  const countsOf = new Map(counts.map(({ destination, ...rest }) => [destination, rest]));
  const standingOf = new Map(standings.map((each) => [each.destination, each]));
  const destinations = lanes.map((lane): OverviewDestination => {
    const ofLane = standingOf.get(lane.destination);
    const minutes = flow.filter(({ destination }) => destination === lane.destination);
    const isHeld = lane.paused || lane.circuit !== 'closed';
    return {
      destination: lane.destination,
      state: lane.paused ? 'paused' : lane.circuit,
      reason: lane.paused ? lane.pausedReason : lane.circuitReason,
      since: isHeld ? lane.since : null,
      nextProbeAt: lane.paused ? null : lane.nextProbeAt,
      waitUntil: lane.paused ? null : lane.waitUntil,
      lagSeconds: ofLane?.lagSeconds ?? 0,
      held: ofLane?.held ?? false,
      counts: countsOf.get(lane.destination) ?? none,
      delivered: perMinute(minutes, ({ delivered }) => delivered),
      failed: perMinute(minutes, ({ retried, parked }) => retried + parked),
      lag: perMinute(
        lags.filter(({ destination }) => destination === lane.destination),
        ({ seconds }) => seconds,
      ),
      p95Seconds: quantile(minutes, 0.95),
    };
  });
  const stuck = stuckOf({ ...found, destinations, relays: alive.relays });
  return {
    at: new Date().toISOString(),
    ...alive,
    ...{ destinations, stuck, causes, unrouted },
  };
}

const none = { pending: 0, scheduled: 0, blocked: 0, delivering: 0, retrying: 0, parked: 0 };

function perMinute<Minute extends { readonly minutesAgo: number }>(
  minutes: readonly Minute[],
  of: (minute: Minute) => number,
): number[] {
  const numbers = new Array<number>(minutesShown).fill(0);
  for (const minute of minutes) {
    const at = minutesShown - 1 - minute.minutesAgo;
    if (at >= 0 && at < minutesShown) numbers[at] = of(minute);
  }
  return numbers;
}

/** Within the bucket that it falls into, as if its answers lay evenly; of the last bucket its lower end. */
export function quantile(minutes: readonly Pick<FlowMinute, 'slowness'>[], share: number): number | null {
  const counts = secondsOfRequests.map(() => 0).concat(0);
  for (const { slowness } of minutes)
    slowness.forEach((count, bucket) => (counts[bucket] = (counts[bucket] ?? 0) + count));
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    const lower = secondsOfRequests[bucket - 1] ?? 0;
    const upper = secondsOfRequests[bucket] ?? lower;
    if (below + count >= total * share)
      return lower + ((upper - lower) * (total * share - below)) / Math.max(count, 1);
    below += count;
  }
  return null;
}

export const overviewEndpoints = [
  endpoint({
    method: 'GET',
    path: '/overview',
    operationId: 'readOverview',
    summary: 'Flow, lag and circuit of each destination over the last hour, and what is stuck since when.',
    need: 'look',
    handle: ({ overview }) => overview(),
  }),
];
