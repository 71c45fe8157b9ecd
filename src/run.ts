import type { Log } from '../activities/index.ts';
import { parseListen, type ListenAddress } from './core/listen.ts';
import { redactorFor } from './core/redact.ts';
import type { Environment } from './core/secrets.ts';
import { OutboxError } from './errors.ts';
import { configuredApi } from './http/apiConfig.ts';
import { apiConnections, apiPatienceMs } from './http/limits.ts';
import type { HttpServers } from './http/server.ts';
import { Tally } from './metrics/tally.ts';
import { createRelay, type Relay } from './relay/relay.ts';
import { repeat, type Repeated } from './relay/repeat.ts';
import { dashboardAt, dashboardConnections, dashboardPatienceMs } from './dashboard/config.ts';
import { recordFlow } from './metrics/flow.ts';
import type { Watched } from './observing.ts';
import { serveHttp } from './serving.ts';
import { readDashboardConfig, readMetricsListen, readSettings } from './storage/configuration.ts';
import { connect, type Pool } from './storage/connect.ts';
import { describeDatabase } from './storage/databaseUrl.ts';
import { explainUnusable } from './storage/errors.ts';
import { requireSchema } from './storage/migrate.ts';
import { adoptTemporal, bindHome, bindTemporal, knowsMark, makeMark } from './storage/recovery.ts';
import { connectTemporal, type Temporal, type TemporalSettings } from './temporal/connect.ts';
import {
  claimNamespace,
  inspectNamespace,
  namespaceIdOf,
  restoredDatabase,
  type Claimant,
} from './temporal/namespace.ts';
import { explainAway } from './temporal/unreachable.ts';
import { ensureHousekeepingSchedule } from './temporal/schedule.ts';
import type { DestinationType } from './destination/type.ts';
import type { KeyProvider } from './encryption/keys.ts';
import { Visibility } from './temporal/visibility.ts';
import type { CheckBackHandlers } from './worker/checkBacks.ts';
import { Handover } from './worker/handover.ts';
import { version } from './version.ts';
import { createWorker, type OutboxWorker, type OutboxWorkerOptions } from './worker/worker.ts';

export interface RunOptions {
  readonly databaseUrl: string;
  readonly temporal?: TemporalSettings;
  /** Default: JSON lines on stdout, from `info` on; a line for people where that is a terminal. */
  readonly log?: Log;
  /** Which halves run in this process. Default both: only then are workflows started eagerly. */
  readonly roles?: { readonly relay: boolean; readonly worker: boolean };
  readonly env?: Environment;
  /** What the HTTP API connects to: the same database as another login, a member of `outbox_api`. Default: `databaseUrl`. */
  readonly apiDatabaseUrl?: string;
  /** Take the rows over to the Temporal namespace at hand when they belong to another one. Default false: refuse. */
  readonly adopt?: boolean;
  readonly pollMs?: { readonly busy: number; readonly idle: number };
  /** As in {@link OutboxWorkerOptions}. */
  readonly checkBacks?: CheckBackHandlers;
  /** As in {@link OutboxWorkerOptions}. */
  readonly destinationTypes?: readonly DestinationType[];
  /** As in {@link OutboxWorkerOptions}; the dashboard decrypts by it, too. */
  readonly encryption?: KeyProvider;
  /** Where the HTTP API is served; null for nowhere. Default: `api.listen` of the configuration, nowhere without a section `api`. */
  readonly apiListen?: ListenAddress | null;
  /** Where the dashboard is served; null for nowhere. Default: `dashboard.listen` of the configuration, nowhere without a section `dashboard`. */
  readonly dashboardListen?: ListenAddress | null;
  /** What the dashboard connects to: the same database as another login, a member of `outbox_operator`. Default: `databaseUrl`. */
  readonly dashboardDatabaseUrl?: string;
  readonly shutdownGraceMs?: number;
  /** Where /metrics, /healthz and /readyz are served; null for nowhere. Default: `metrics.listen` of the configuration. */
  readonly metricsListen?: ListenAddress | null;
  /** Nothing is served over HTTP here; whoever serves for several databases gets to see this one. */
  readonly watchedBy?: (watched: Watched) => void;
}

export interface Running {
  /** What is served over HTTP and where: `{ metrics: 'http://127.0.0.1:9464', api: 'http://127.0.0.1:8080', dashboard: 'http://127.0.0.1:8800' }`. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** Rejects when the worker failed; resolves after stop(). */
  readonly finished: Promise<void>;
  /** Claims nothing more, lets requests under way end, closes every connection. Any number of calls. */
  stop(): Promise<void>;
}

/**
 * Starts relay and worker.
 * @throws OutboxError when the schema, PostgreSQL or Temporal is not as needed; nothing is left running then
 */
export async function run(given: RunOptions): Promise<Running> {
  const options = { ...given, log: given.log ?? (await ownLog()) };
  const { log, roles = bothRoles } = options;
  const open = (max: number): Pool =>
    connect(options.databaseUrl, {
      applicationName: 'temporal-outbox',
      max,
      onIdleError: (error) =>
        log.warn({ error: error.message }, 'a PostgreSQL connection broke; it is replaced'),
    });
  const pool = open(roles.relay ? connections.inAll - connections.forClaims : connections.inAll);
  const claimsPool = roles.relay ? open(connections.forClaims) : undefined;
  let temporal: Temporal | undefined;
  try {
    await requireSchema(pool);
    temporal = await connectTemporal(options.temporal, log);
    const base = await prepare(pool, temporal, options);
    return await assemble({ ...base, ...(claimsPool === undefined ? {} : { claimsPool }) }, options, roles);
  } catch (error) {
    await temporal?.close().catch(() => undefined);
    await claimsPool?.end();
    await pool.end();
    // Either server may go away at any moment of a start; whoever called waits for it only if told that it was that.
    throw explainUnusable(explainAway(error, temporal?.address ?? ''), describeDatabase(options.databaseUrl));
  }
}

/** Loaded by who brings none. */
async function ownLog(): Promise<Log> {
  const { createLog } = await import('./cli/log.ts');
  return createLog(process.stdout);
}

/** As given, with a log. */
type LoggedOptions = RunOptions & Required<Pick<RunOptions, 'log'>>;

const bothRoles = { relay: true, worker: true };

/** Of a process: `forClaims` are the relay's alone, so that claiming waits for no outcomes. */
const connections = { inAll: 10, forClaims: 2 };

interface Base {
  readonly pool: Pool;
  /** What claims and leases go through. Undefined in a process without a relay. */
  readonly claimsPool?: Pool;
  readonly temporal: Temporal;
  readonly name: string | null;
  readonly searchAttributes: boolean;
  readonly visibility: Visibility;
  readonly revision: number;
  readonly telemetry: Tally;
}

async function prepare(pool: Pool, temporal: Temporal, { adopt, log }: LoggedOptions): Promise<Base> {
  const settings = await readSettings(pool);
  if (!(await bindHome(pool)))
    throw restoredDatabase('it lives in another server or under another number than before');
  const facts = await inspectNamespace(temporal);
  const bound = await bindTemporal(pool, facts.id);
  if (bound !== facts.id) {
    if (adopt !== true) throw otherTemporal(temporal);
    const returned = await adoptTemporal(pool, facts.id);
    log.warn(
      { namespaceId: facts.id, returned },
      'adopted by another Temporal store: claims returned to pending',
    );
  }
  await claimNamespace(temporal, settings.name, await claimantOf(pool, settings.databaseId, log));
  if (!facts.hasSearchAttributes)
    log.info({}, 'search attributes are not registered; workflow ids serve instead');
  return {
    pool,
    temporal,
    name: settings.name,
    searchAttributes: facts.hasSearchAttributes,
    visibility: new Visibility(temporal, log, facts.hasSearchAttributes),
    revision: settings.configRevision,
    telemetry: new Tally(),
  };
}

async function claimantOf(pool: Pool, databaseId: string, log: Log): Promise<Claimant> {
  return {
    databaseId,
    mark: await makeMark(pool),
    knows: (mark) => knowsMark(pool, mark),
    warn: (message) => log.warn({}, message),
  };
}

const markAgainMs = 3_600_000;
const verifyDeadlineMs = 5_000;

/**
 * For the relay to ask now and then. Leaves a new mark every hour, so that a copy of the database does not stay unnoticed for long, and
 * at once in a store that was emptied and adopted while we run.
 */
function verifierOf({ pool, temporal, name }: Base, log: Log): () => Promise<void> {
  let markedAt = performance.now();
  const verify = async (): Promise<void> => {
    const { databaseId, temporalNamespaceId } = await readSettings(pool);
    if (temporalNamespaceId !== (await namespaceIdOf(temporal))) {
      markedAt = -Infinity;
      throw otherTemporal(temporal);
    }
    if (performance.now() - markedAt < markAgainMs) return;
    await claimNamespace(temporal, name, await claimantOf(pool, databaseId, log));
    markedAt = performance.now();
  };
  // A server that swallows packets must not hold up a relay that is asked to stop.
  return () => temporal.client.withDeadline(Date.now() + verifyDeadlineMs, verify);
}

async function assemble(
  base: Base,
  options: LoggedOptions,
  roles: { readonly relay: boolean; readonly worker: boolean },
): Promise<Running> {
  let relay: Relay | undefined;
  const handover = new Handover();
  const worker = roles.worker
    ? await startWorker(base, options, handover, {
        onProgress: (lane) => relay?.nudge(lane),
        onReturned: (lane) => relay?.returned(lane),
      })
    : undefined;
  let served: HttpServers;
  try {
    if (roles.relay)
      relay = await startRelay(base, options, worker, worker === undefined ? undefined : handover);
    served = await serve(base, options, relay, worker);
  } catch (error) {
    await relay?.stop();
    await worker?.stop();
    throw error;
  }
  sayWhatRuns(base, options, relay, worker, served.endpoints);
  const scheduling = await keepSchedule(base, options.log);
  const flow = worker === undefined ? undefined : recordFlow(base.pool, base.telemetry, options.log);
  let settle: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => (settle = resolve));
  const stop = async (): Promise<void> => {
    try {
      await scheduling.stop();
      await relay?.stop();
      await worker?.stop();
      await flow?.stop();
    } finally {
      // To the last: that a process is stopping is worth knowing.
      await served
        .close()
        .catch((error: unknown) => options.log.warn({ error: String(error) }, 'HTTP not closed in order'));
      await base.temporal.close();
      await base.claimsPool?.end();
      await base.pool.end();
      settle();
    }
  };
  let stopping: Promise<void> | undefined;
  const { endpoints } = served;
  return { endpoints, finished: worker?.finished ?? stopped, stop: () => (stopping ??= stop()) };
}

async function serve(
  base: Base,
  options: LoggedOptions,
  relay: Relay | undefined,
  worker: OutboxWorker | undefined,
): Promise<HttpServers> {
  const {
    databaseUrl,
    apiDatabaseUrl = databaseUrl,
    log,
    env = process.env,
    metricsListen,
    apiListen,
    watchedBy,
  } = options;
  const { temporal, visibility } = base;
  const observed = { databaseUrl, temporal, visibility, tally: base.telemetry, relay, worker };
  if (watchedBy !== undefined) {
    const { watch } = await import('./observing.ts');
    const watched = watch({ ...observed, apiTally: undefined, redact: redactorFor(env) });
    watchedBy(watched);
    return { endpoints: {}, close: () => watched.close() };
  }
  const listen = metricsListen === undefined ? await configuredListen(base.pool) : metricsListen;
  const api = await configuredApi(base.pool, apiListen, env);
  const openApiPool = (): Pool =>
    connect(apiDatabaseUrl, {
      applicationName: 'temporal-outbox-api',
      max: apiConnections.besideDelivery,
      patienceMs: apiPatienceMs,
    });
  const config = dashboardAt(await readDashboardConfig(base.pool), options.dashboardListen);
  const dashboard =
    config === null
      ? undefined
      : {
          config,
          encryption: options.encryption,
          openPool: () =>
            connect(options.dashboardDatabaseUrl ?? databaseUrl, {
              applicationName: 'temporal-outbox-dashboard',
              max: dashboardConnections.besideDelivery,
              patienceMs: dashboardPatienceMs,
            }),
          temporal: () => Promise.resolve(temporal),
          namespace: temporal.namespace,
        };
  return serveHttp({ openApiPool, log, env, api, metricsListen: listen, observed, dashboard });
}

async function configuredListen(pool: Pool): Promise<ListenAddress | null> {
  const text = await readMetricsListen(pool);
  return text === null ? null : parseListen(text);
}

/** One line that tells a reader of logs what began here. */
function sayWhatRuns(
  { name, revision, temporal }: Base,
  { databaseUrl, log, roles = bothRoles }: LoggedOptions,
  relay: Relay | undefined,
  worker: OutboxWorker | undefined,
  endpoints: HttpServers['endpoints'],
): void {
  const { address, namespace } = temporal;
  log.info(
    {
      version: version(),
      node: process.versions.node,
      name,
      roles: Object.entries(roles).flatMap(([role, has]) => (has ? [role] : [])),
      database: describeDatabase(databaseUrl),
      temporal: `${address} ${namespace}`,
      configRevision: revision,
      ...(worker === undefined ? {} : { destinations: worker.destinations.slice(0, destinationsShown) }),
      ...(worker === undefined ? {} : { destinationCount: worker.destinations.length }),
      ...(relay === undefined ? {} : { lanes: relay.standing().lanes }),
      endpoints,
    },
    'running',
  );
}

const destinationsShown = 20;

const scheduleEveryMs = 3_600_000;

/** Made now, and again where somebody deleted it. Without it events are delivered all the same: never a reason not to start. */
async function keepSchedule({ temporal, name }: Base, log: Log): Promise<Repeated> {
  const ensure = async (): Promise<void> => {
    if (await ensureHousekeepingSchedule(temporal, name)) log.info({}, 'housekeeping schedule made');
  };
  await ensure().catch((error: unknown) =>
    log.warn({ error: String(error) }, 'no housekeeping schedule: it is tried again every hour'),
  );
  return repeat('housekeeping schedule', scheduleEveryMs, log, ensure);
}

function startWorker(
  base: Base,
  { log, env, checkBacks, destinationTypes, encryption, shutdownGraceMs }: LoggedOptions,
  handover: Handover,
  told: Pick<OutboxWorkerOptions, 'onProgress' | 'onReturned'>,
): Promise<OutboxWorker> {
  return createWorker({
    ...base,
    log,
    handover,
    ...told,
    ...(env === undefined ? {} : { env }),
    ...(checkBacks === undefined ? {} : { checkBacks }),
    ...(destinationTypes === undefined ? {} : { destinationTypes }),
    ...(encryption === undefined ? {} : { encryption }),
    ...(shutdownGraceMs === undefined ? {} : { shutdownGraceMs }),
  });
}

function startRelay(
  base: Base,
  { log, pollMs }: LoggedOptions,
  worker: OutboxWorker | undefined,
  handover: Handover | undefined,
): Promise<Relay> {
  return createRelay({
    ...base,
    log,
    verifyBinding: verifierOf(base, log),
    ...(worker === undefined ? {} : { unable: () => worker.unable() }),
    ...(handover === undefined ? {} : { handover }),
    ...(pollMs === undefined ? {} : { pollMs }),
  });
}

function otherTemporal({ address, namespace }: Temporal): OutboxError {
  return new OutboxError(
    'OUTBOX_TEMPORAL_MISMATCH',
    `the rows of this database belong to another Temporal store than namespace ${namespace} at ${address}`,
    {
      hint:
        'If TEMPORAL_ADDRESS or TEMPORAL_NAMESPACE is wrong, correct it. If the old store is gone for good: ' +
        'temporal-outbox doctor --adopt',
    },
  );
}
