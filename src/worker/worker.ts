import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from '@temporalio/worker';
import { Acknowledged } from '../../activities/acknowledged.ts';
import { Evidence } from '../../activities/evidence.ts';
import { createActivities, OutcomeLog, type Log } from '../../activities/index.ts';
import { UnderWay } from '../../activities/underWay.ts';
import { Unwritten, type UnwrittenStanding } from '../../activities/unwritten.ts';
import { taskQueueName } from '../core/ids.ts';
import type { DestinationConfig } from '../core/destination.ts';
import type { ProducerConfig } from '../core/producer.ts';
import type { Environment } from '../core/secrets.ts';
import { noTelemetry, type Telemetry } from '../core/telemetry.ts';
import { withOwnTypes, type DestinationTypes } from '../destination/registry.ts';
import { problemOf } from '../destination/senders.ts';
import type { DestinationType } from '../destination/type.ts';
import { OutboxError, type ErrorCode } from '../errors.ts';
import { repeat } from '../relay/repeat.ts';
import { Apart } from '../relay/apart.ts';
import { Starter } from '../relay/starter.ts';
import { Timeouts } from '../relay/timeouts.ts';
import { readSettings } from '../storage/configuration.ts';
import type { Pool } from '../storage/connect.ts';
import type { Lacking } from '../storage/lacking.ts';
import type { Temporal } from '../temporal/connect.ts';
import { Visibility } from '../temporal/visibility.ts';
import { checkBackProblem } from '../destination/http/checkBack.ts';
import { liftPauses } from '../storage/circuits.ts';
import { callOff } from '../storage/sharedLane.ts';
import { readProducers } from '../storage/messages.ts';
import { LiveProducers, type CheckBackHandlers } from './checkBacks.ts';
import { ConfiguredKeys } from '../encryption/configured.ts';
import type { KeyProvider } from '../encryption/keys.ts';
import { LiveDestinations } from './destinations.ts';
import type { Handover } from './handover.ts';
import { SharedLane } from './sharedLane.ts';
import { Intakes } from './intakes.ts';
import { Shares } from './shares.ts';
import { mainThreadOptions } from './mainThread.ts';

export interface OutboxWorkerOptions {
  readonly pool: Pool;
  readonly temporal: Temporal;
  /** The configuration's `name`; it decides the task queue. */
  readonly name: string | null;
  readonly log: Log;
  /** Of this process. Default: its own. */
  readonly visibility?: Visibility;
  /** Where `${X}` and `env:X` come from. Default `process.env`. */
  readonly env?: Environment;
  /** Where the relay of this process leaves what it claimed. */
  readonly handover?: Handover;
  /** Told when rows of a lane left their first attempt. */
  readonly onProgress?: (lane: string) => void;
  /** Told when rows of a lane went back to it. */
  readonly onReturned?: (lane: string) => void;
  /** Functions that answer check-backs of half messages, by the name that `producers.<name>.checkBack.handler` gives. */
  readonly checkBacks?: CheckBackHandlers;
  /** Destination types of your own, beside ours, see `temporal-outbox/destination`. */
  readonly destinationTypes?: readonly DestinationType[];
  /** Where the keys of encrypted payloads come from. Default: `encryption` of the configuration. */
  readonly encryption?: KeyProvider;
  /** How long what is under way may go on at shutdown. Default 20 s. */
  readonly shutdownGraceMs?: number;
  /** Told what is done. Default: nobody is. */
  readonly telemetry?: Telemetry;
}

export interface OutboxWorker {
  /** Of the destinations at its start. */
  readonly destinations: readonly string[];
  /** Temporal's name for how it stands: `RUNNING`, `DRAINING`, `FAILED`, … */
  state(): string;
  /** What was answered and waits for PostgreSQL to take it; undefined when nothing does. */
  unwritten(): UnwrittenStanding | undefined;
  /** Why this process cannot send, or ask producers back, by the latest configuration. */
  lacking(): Lacking;
  /** Destinations whose events this process leaves to others. */
  unable(): readonly string[];
  /** Resolves when the worker has stopped; rejects when it failed. */
  readonly finished: Promise<void>;
  /** Takes no new work, lets what is under way end within the grace time. */
  stop(): Promise<void>;
}

/**
 * Refuses to send from a process that lacks what a destination or a check-back needs: each of its messages would be parked.
 * @throws OutboxError naming all of them and what each lacks; OUTBOX_DESTINATION_TYPE or OUTBOX_CLIENT_MISSING where that is what all
 *   of them lack, else OUTBOX_SECRET_MISSING
 */
function requireSendable(
  destinations: readonly DestinationConfig[],
  producers: readonly ProducerConfig[],
  env: Environment,
  types: DestinationTypes,
): void {
  const codes = new Set<ErrorCode>();
  const problems = destinations.flatMap((config) => {
    const problem = problemOf(config, { env }, types);
    if (problem === null) return [];
    codes.add(problem.code);
    return [`${config.name}: ${problem.message}`];
  });
  for (const { name, checkBack } of producers) {
    const problem = checkBack.kind === 'http' ? checkBackProblem(checkBack, { env }) : null;
    if (problem === null) continue;
    codes.add('OUTBOX_SECRET_MISSING');
    problems.push(`the check-back of ${name}: ${problem}`);
  }
  if (problems.length === 0) return;
  const [code = 'OUTBOX_SECRET_MISSING', ...others] = codes;
  const shared = others.length === 0 ? code : 'OUTBOX_SECRET_MISSING';
  throw new OutboxError(shared, `this process cannot send to ${problems.join('; to ')}`, {
    hint: startHints[shared] ?? startHints.OUTBOX_SECRET_MISSING,
  });
}

const startHints: Readonly<Partial<Record<ErrorCode, string>>> & { readonly OUTBOX_SECRET_MISSING: string } =
  {
    OUTBOX_SECRET_MISSING:
      'Set the variables for every process that sends (run, worker), or correct the configuration and apply it.',
    OUTBOX_CLIENT_MISSING:
      'Install the package beside temporal-outbox, for every process that sends (run, worker).',
    OUTBOX_DESTINATION_TYPE:
      'Give the type to createWorker or run as destinationTypes, or its module to the CLI in OUTBOX_DESTINATION_TYPES.',
  };

/** A Temporal worker for our workflows and activities. Several, in one process or many, share the work. */
export async function createWorker(options: OutboxWorkerOptions): Promise<OutboxWorker> {
  const { pool, temporal, log, env = process.env } = options;
  const unwritten = new Unwritten(log);
  const shares: Shares = new Shares(pool, log, {
    unwritten: () => unwritten.look(),
    lacking: () => ({ destinations: destinations.lacking, producers: checkBacks.lacking }),
  });
  const types = withOwnTypes(options.destinationTypes);
  const destinations = new LiveDestinations(pool, { env, log, shares, types });
  const checkBacks = new LiveProducers(pool, env, options.checkBacks ?? {}, log);
  const configs = await destinations.load();
  const { producers } = await readProducers(pool);
  requireSendable(configs, producers, env, types);
  const lifted = await liftPauses(
    pool,
    configs.map(({ name }) => name),
  );
  if (lifted.length > 0) log.info({ destinations: lifted }, 'resumed: this process has what was missing');
  const outcomes = new OutcomeLog(log);
  const visibility = options.visibility ?? new Visibility(temporal, log);
  const telemetry = options.telemetry ?? noTelemetry;
  const timeouts = new Timeouts(pool);
  const starter = new Starter({ pool, temporal, name: options.name, visibility, log, telemetry, timeouts });
  const apart = new Apart({
    start: (single, signal) => starter.startSingle(single, signal),
    callOff: (workflowIds) => callOff(pool, workflowIds),
    log,
  });
  const intakes = options.handover?.intakes ?? new Intakes();
  const graceMs = options.shutdownGraceMs ?? 20_000;
  const [asked, over] = [new AbortController(), new AbortController()];
  setMaxListeners(0, asked.signal, over.signal); // each attempt listens
  const code = { ...(await mainThreadOptions()), ...workflowCode() };
  await shares.start();
  const withWorker = temporal.withWorker ?? ((make) => make(temporal.connection));
  const settings = {
    ...tuning,
    ...code,
    namespace: temporal.namespace,
    taskQueue: taskQueueName(options.name),
    shutdownGraceTime: graceMs,
    activities: createActivities({
      pool,
      destinations,
      checkBacks,
      log,
      acknowledged: new Acknowledged(),
      get keepDelivered() {
        return destinations.keepDelivered;
      },
      random: Math.random,
      processId: randomUUID(),
      underWay: new UnderWay(),
      unwritten,
      evidence: new Evidence(),
      hasSearchAttributes: () => visibility.lookForAttributes(),
      takeOpened: (workflowId) => options.handover?.take(workflowId),
      openIntake: (batch) => intakes.open(pool, batch),
      shared: options.handover?.shared ?? new SharedLane(),
      startApart: (left) => apart.add(left),
      leaving: { asked: asked.signal, over: over.signal },
      onProgress: options.onProgress ?? (() => undefined),
      onReturned: options.onReturned ?? (() => undefined),
      telemetry,
      outcomes,
      keys: options.encryption ?? new ConfiguredKeys(pool, env),
    }),
  };
  const worker = await withWorker((connection) => Worker.create({ ...settings, connection })).catch(
    async (error: unknown) => {
      await shares.stop();
      throw error;
    },
  );
  // What it lacks is said when the configuration is applied, not when the first event of it comes.
  const following = repeat('follow the configuration', followEveryMs, log, async () => {
    const { configRevision } = await readSettings(pool);
    await Promise.all([destinations.follow(configRevision), checkBacks.follow(configRevision)]);
  });
  const finished = worker
    .run()
    .finally(async () => {
      outcomes.close();
      await following.stop();
      apart.stop();
      await Promise.all([destinations.close(), checkBacks.close()]);
    })
    .finally(() => shares.stop());
  // Whoever awaits `finished` sees a failure; until then it must not end the process as unhandled.
  finished.catch(() => undefined);
  return {
    finished,
    destinations: configs.map(({ name }) => name),
    state: () => worker.getState(),
    unwritten: () => unwritten.standing(),
    lacking: () => ({ destinations: destinations.lacking, producers: checkBacks.lacking }),
    unable: () => destinations.unable,
    stop: async () => {
      asked.abort();
      // The SDK's grace time is for ordinary activities only; first attempts run in local ones.
      const timer = setTimeout(() => over.abort(), graceMs);
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await finished.finally(() => clearTimeout(timer));
    },
  };
}

const followEveryMs = 5_000;

const tuning = {
  // Only non-sticky pollers see new workflows, and most of ours are over after one task.
  nonStickyToStickyPollRatio: 0.5,
  workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 8 },
  activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 4 },
  maxConcurrentWorkflowTaskExecutions: 40,
  maxConcurrentLocalActivityExecutions: 100,
  // Attempts at slow destinations wait here, each with little in hand.
  maxConcurrentActivityTaskExecutions: 1_000,
  // A parked workflow costs memory while cached and one replay of a short history when not.
  maxCachedWorkflows: 200,
} satisfies Partial<WorkerOptions>;

/** The bundle that the build made: beside the compiled code, or in dist when this runs from sources. */
function workflowCode(): Pick<WorkerOptions, 'workflowBundle'> {
  const places = ['../../workflow-bundle.js', '../../dist/workflow-bundle.js'];
  const codePath = places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((path) => existsSync(path));
  if (codePath === undefined) throw new Error('workflow-bundle.js is missing: run npm run build');
  return { workflowBundle: { codePath } };
}
