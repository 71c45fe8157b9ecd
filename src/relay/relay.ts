import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Log } from '../../activities/index.ts';
import { sharedLane } from '../core/sharedLane.ts';
import { noTelemetry, type Telemetry } from '../core/telemetry.ts';
import { noteLags } from '../storage/flow.ts';
import { readLaneStandings } from '../storage/standing.ts';
import { makePartitions } from '../storage/claims.ts';
import { healSequences } from '../storage/sequences.ts';
import type { Pool } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { Visibility } from '../temporal/visibility.ts';
import type { Handover } from '../worker/handover.ts';
import { AlertWatch } from './alertWatch.ts';
import { Binding } from './binding.ts';
import { CircuitWatch } from './circuitWatch.ts';
import { HotLanes } from './hotLanes.ts';
import { Lanes } from './lanes.ts';
import { MessageWatch } from './messages.ts';
import { repeat, type Repeated } from './repeat.ts';
import { Reconciler } from './reconciler.ts';
import { Starter } from './starter.ts';
import { Timeouts } from './timeouts.ts';
import { Poller, type PollTrouble } from './poller.ts';

export interface RelayOptions {
  readonly pool: Pool;
  /**
   * What claims and leases go through: where hundreds of destinations die at once, their outcomes have every connection of `pool` for half a
   * minute. Default: `pool`.
   */
  readonly claimsPool?: Pool;
  readonly temporal: Temporal;
  /** The configuration's `name`; it decides the task queue. */
  readonly name: string | null;
  /** Whether the namespace has our search attributes; looked at again now and then. */
  readonly searchAttributes: boolean;
  /** Of this process. Default: its own. */
  readonly visibility?: Visibility;
  readonly log: Log;
  /** Where to leave claimed batches for a worker in this process; without it workers load them themselves. */
  readonly handover?: Handover;
  /** Between polls while there is work, and while there is none, milliseconds. Default 3 and 20. */
  readonly pollMs?: { readonly busy: number; readonly idle: number };
  /** Throws OUTBOX_TEMPORAL_MISMATCH while Temporal is not the one that the rows belong to; asked every 5 s. Default: never. */
  readonly verifyBinding?: () => Promise<void>;
  /** How long a lane stays with a relay that is not heard of, milliseconds. Default 6,000. */
  readonly leaseMs?: number;
  /** Age at which a claim's workflow is looked for, milliseconds. Default 15,000. */
  readonly claimAgeMs?: number;
  /** Told what is done. Default: nobody is. */
  readonly telemetry?: Telemetry;
  /** Lanes that the worker of this process cannot send: they are left to other relays. Default: none. */
  readonly unable?: () => readonly string[];
}

export interface Relay {
  readonly id: string;
  /** How it stands at this moment. */
  standing(): RelayStanding;
  /** Rows of a lane left their first attempt: there may be room for the next batch. */
  nudge(lane: string): void;
  /** Rows of a lane went back to it, below those that were claimed last. */
  returned(lane: string): void;
  /** Claims nothing more, ends starts under way, gives the lanes to the others. */
  stop(): Promise<void>;
}

export interface RelayStanding {
  readonly lanes: number;
  /** Milliseconds since its heartbeat was last written, and how long its lanes stay without one. */
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  /** Milliseconds since it last ended a round of asking for work. */
  readonly silentMs: number;
  /** What has kept it from claiming for more than a few rounds; undefined while all is well. */
  readonly trouble: PollTrouble | undefined;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const reconcileEveryMs = 5_000;
const reconcileForMs = 20_000;
const verifyEveryMs = 5_000;
const watchMessagesEveryMs = 500;
const lookForAttributesEveryMs = 15_000;
const forgetEveryMs = 10_000;
const watchCircuitsEveryMs = 1_000;
const lookForAlertsEveryMs = 1_000;
const noteLagEveryMs = 15_000;

/** Claims rows and starts workflows for them. Any number of relays share the lanes among them. */
export async function createRelay(options: RelayOptions): Promise<Relay> {
  const { pool, log, leaseMs = 6_000, telemetry = noTelemetry } = options;
  const { unable = () => [], claimsPool = pool } = options;
  const id = randomUUID();
  const lanes = new Lanes(claimsPool, id, `${hostname()}:${process.pid}`, leaseMs);
  const timeouts = new Timeouts(pool);
  const visibility = options.visibility ?? new Visibility(options.temporal, log, options.searchAttributes);
  const starter = new Starter({ ...options, visibility, telemetry, timeouts });
  const hotLanes = new HotLanes(claimsPool, id, lanes, log, leaseMs / 3);
  const poller = new Poller(
    claimsPool,
    id,
    lanes,
    hotLanes,
    starter,
    log,
    options.pollMs ?? { busy: 3, idle: 20 },
    options.handover,
    telemetry,
  );
  const claimAgeMs = options.claimAgeMs ?? 15_000;
  const reconciler = new Reconciler(pool, options.temporal, visibility, starter, log, claimAgeMs);
  const messages = new MessageWatch({ ...options, visibility, db: pool, claimAgeMs });
  const binding = new Binding(options.verifyBinding ?? (() => Promise.resolve()), log);
  const verify = async (): Promise<void> => {
    await binding.check();
    // Without lanes the poller claims nothing.
    if (binding.broken) await lanes.leave();
  };
  const always = (what: string, everyMs: number, work: () => Promise<unknown>): Repeated =>
    repeat(what, everyMs, log, work);
  const whileBound = (what: string, everyMs: number, work: () => Promise<unknown>): Repeated =>
    repeat(what, everyMs, log, async () => {
      if (!binding.broken) await work();
    });
  /** What Temporal does not answer in time is looked at in a later round. */
  const inTime = (pass: () => Promise<void>): Promise<void> =>
    options.temporal.client.withDeadline(Date.now() + reconcileForMs, pass);
  const alerts = new AlertWatch(pool, log);
  const circuits = new CircuitWatch({ ...options, visibility, db: pool, timeouts });

  const healed = async (): Promise<void> => {
    const behind = await healSequences(pool);
    if (behind.length > 0) log.warn({ behind }, 'sequences were behind their tables: set above them');
  };
  await makePartitions(pool);
  // Before anything is numbered or written: after a cut-over by logical replication they are at their beginning.
  await healed();
  await lanes.hold(unable());
  poller.start();
  const chores = [
    whileBound('hold lanes', leaseMs / 3, () => lanes.hold(unable())),
    // Batches whose attempts are made elsewhere fall to whichever worker has time.
    ...(options.handover === undefined
      ? []
      : [whileBound('share hot lanes', leaseMs / 3, () => hotLanes.pass(unable()))]),
    whileBound('watch circuits', watchCircuitsEveryMs, () => circuits.pass()),
    whileBound('reconcile', reconcileEveryMs, () => inTime(() => reconciler.pass())),
    // Apart: nothing waits for Temporal's lists.
    whileBound('look for ended workflows', reconcileEveryMs, () => reconciler.passEnded()),
    whileBound('look for ended half messages', reconcileEveryMs, () => messages.reconcileEnded()),
    whileBound('watch half messages', watchMessagesEveryMs, () => messages.pass()),
    whileBound('reconcile half messages', reconcileEveryMs, () => inTime(() => messages.reconcile())),
    always('look for search attributes', lookForAttributesEveryMs, () => visibility.lookForAttributes()),
    always('make partitions', hourMs, () => makePartitions(pool)),
    always('look after sequences', hourMs, healed),
    always('wake stranded keys', minuteMs, async () => {
      const woken = await lanes.wakeStranded();
      if (woken > 0) log.warn({ keys: woken }, 'keys waited for nobody: rows were changed by hand');
    }),
    always('forget half messages', forgetEveryMs, () => messages.forget()),
    whileBound('look for alerts', lookForAlertsEveryMs, () => alerts.pass()),
    always('note lag', noteLagEveryMs, async () => noteLags(pool, await readLaneStandings(pool, true))),
    always('verify the namespace', verifyEveryMs, verify),
  ];
  log.info({ relay: id, lanes: lanes.held }, 'relay started');
  return {
    id,
    standing: () => ({
      lanes: lanes.held.length,
      heartbeatMs: lanes.heartbeatMs,
      leaseMs,
      silentMs: poller.silentMs,
      trouble: poller.trouble,
    }),
    nudge: (lane) => poller.progressed(lane),
    returned: (lane) => {
      lanes.sweepSoon(lane);
      lanes.sweepSoon(sharedLane);
      poller.progressed(lane);
    },
    stop: async () => {
      await poller.stop();
      await Promise.all(chores.map((chore) => chore.stop()));
      await starter.stop();
      await lanes
        .leave()
        .catch((error: unknown) => log.warn({ error: String(error) }, 'lanes not given up; they expire'));
      log.info({ relay: id }, 'relay stopped');
    },
  };
}
