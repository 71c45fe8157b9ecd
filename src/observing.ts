/** What a running process shows of itself: /metrics, /healthz, /readyz. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ListenAddress } from './core/listen.ts';
import type { Check } from './health/checks.ts';
import { healthRoutes, type HealthLooks } from './health/group.ts';
import type { RouteGroup } from './http/server.ts';
import { familiesOf, type Scraped } from './metrics/families.ts';
import { metricsRoutes, type Read } from './metrics/group.ts';
import { Latest } from './metrics/latest.ts';
import { meterFamilies } from './metrics/meter.ts';
import { watchStandings } from './metrics/standing.ts';
import type { ApiTally, Tally } from './metrics/tally.ts';
import type { Relay } from './relay/relay.ts';
import { readSettings } from './storage/configuration.ts';
import { connect, type Pool } from './storage/connect.ts';
import { describeDatabase } from './storage/databaseUrl.ts';
import { didBreakUnderWay, explainDatabaseError } from './storage/errors.ts';
import { requireSchema } from './storage/migrate.ts';
import { readWritable } from './storage/standing.ts';
import type { Temporal } from './temporal/connect.ts';
import { isWithheld } from './temporal/grpc.ts';
import { namespaceIdOf } from './temporal/namespace.ts';
import type { Visibility } from './temporal/visibility.ts';
import { version } from './version.ts';
import type { OutboxWorker } from './worker/worker.ts';
import { counted } from './core/counted.ts';

export interface Observed {
  readonly databaseUrl: string;
  /** Undefined where the process has no such part: `api` delivers nothing. */
  readonly temporal: Temporal | undefined;
  /** Undefined where the process starts no workflows. */
  readonly visibility?: Visibility;
  readonly tally: Tally | undefined;
  /** Undefined where the API is not served. */
  readonly apiTally: ApiTally | undefined;
  readonly relay: Relay | undefined;
  readonly worker: OutboxWorker | undefined;
  /** Hides secrets in texts that are not ours. */
  readonly redact: (text: string) => string;
}

export interface Observing {
  /** What is served; null where nothing is, and figures go to OpenTelemetry alone. */
  readonly group: RouteGroup | null;
  close(): Promise<void>;
}

/** What delivers for one database, as seen from beside it. */
export interface Watched {
  readonly scrape: () => Promise<Scraped>;
  readonly looks: HealthLooks;
  readonly close: () => Promise<void>;
}

const temporalDeadlineMs = 2_000;
/** A relay whose loop has not come round for so long hangs: every wait in it is shorter. */
const hangsAfterMs = 180_000;

/** Connections of its own, two at most: a pool that is used up must not make a process look dead. */
export function watch(observed: Observed): Watched {
  const pool = connect(observed.databaseUrl, {
    applicationName: 'temporal-outbox watching',
    max: 2,
    patienceMs: { connect: 2_500, answer: 10_000 },
  });
  return { scrape: scraperOf(observed, pool), looks: looksOf(observed, pool), close: () => pool.end() };
}

export function observe(observed: Observed, listen: ListenAddress | null): Observing {
  const { scrape, looks, close } = watch(observed);
  const read = async () => {
    const scraped = await scrape();
    return { families: familiesOf(scraped), cutOff: scraped.cutOff };
  };
  return serveObserved(read, looks, listen, close);
}

/** `/metrics`, `/healthz` and `/readyz` over what is given; `close` is called with the rest. */
export function serveObserved(
  read: () => Promise<Read>,
  looks: HealthLooks,
  listen: ListenAddress | null,
  close: () => Promise<void>,
): Observing {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const eventLoop = (): Check => ({
    ok: true,
    says: `late by ${delayOf(delay)} ms at the 99th percentile`,
  });
  const health = healthRoutes({ ...looks, alive: { eventLoop, ...looks.alive } });
  const metered = meterFamilies(async () => (await read()).families);
  return {
    group: listen && {
      name: 'metrics',
      listen,
      register: (app) => {
        metricsRoutes(read)(app);
        health(app);
      },
    },
    close: async () => {
      metered?.stop();
      delay.disable();
      await close();
    },
  };
}

function scraperOf(
  { temporal, visibility, tally, apiTally, relay, worker }: Observed,
  pool: Pool,
): () => Promise<Scraped> {
  const { standing, counts } = watchStandings(pool);
  const reached =
    temporal === undefined
      ? undefined
      : new Latest(() => askTemporal(temporal), {
          freshMs: 5_000,
          patienceMs: temporalDeadlineMs,
          staleMs: 10_000,
        });
  const told = new WeakSet<object>();
  /** A connection that broke is that one scrape's trouble. */
  const isNews = (error: unknown): boolean => {
    if (!(error instanceof Error) || !didBreakUnderWay(error) || told.has(error)) return false;
    told.add(error);
    return true;
  };
  return async () => {
    const [lanes, rows] = await Promise.all([standing.get(), counts.get(), reached?.get()]);
    return {
      version: version(),
      tally,
      apiTally,
      // What was true before the database went away would hide that it did.
      standing: standing.error === undefined ? lanes : undefined,
      counts: rows,
      cutOff: [standing.error, counts.error].filter(isNews).length > 0,
      databaseUp: lanes !== undefined && standing.error === undefined,
      temporalUp: reached === undefined ? undefined : reached.error === undefined,
      visibilityUp: visibility === undefined ? undefined : visibility.trouble === null,
      searchAttributes: visibility?.hasAttributes,
      lanesHeld: relay?.standing().lanes,
      workerUp: worker === undefined ? undefined : worker.state() === 'RUNNING',
      unwritten: worker === undefined ? undefined : (worker.unwritten() ?? { outcomes: 0, waitedMs: 0 }),
    };
  };
}

function looksOf(
  { databaseUrl, temporal, visibility, relay, worker, redact }: Observed,
  pool: Pool,
): HealthLooks {
  const workerCheck = (): Check => {
    const state = worker?.state() ?? '';
    return state === 'RUNNING'
      ? { ok: true }
      : { ok: false, says: `the Temporal worker is ${state.toLowerCase()}` };
  };
  return {
    inWords: (error) => inWords(error, databaseUrl, redact),
    alive: {
      ...(worker === undefined
        ? {}
        : { worker: () => (worker.state() === 'FAILED' ? workerCheck() : { ok: true }) }),
      ...(relay === undefined ? {} : { relay: () => relayAlive(relay) }),
    },
    ready: {
      database: () => checkDatabase(pool, databaseUrl),
      schema: async () => {
        await requireSchema(pool);
        return { ok: true };
      },
      configuration: () => checkConfiguration(pool),
      ...(temporal === undefined ? {} : { temporal: () => checkTemporal(pool, temporal, visibility) }),
      ...(worker === undefined
        ? {}
        : {
            worker: () => {
              const check = workerCheck();
              if (!check.ok) return check;
              const sending = sendingCheck(worker);
              return sending.ok ? checkOutcomes(worker, redact) : sending;
            },
          }),
      ...(relay === undefined
        ? {}
        : {
            lanes: () => {
              const check = checkClaims(relay, redact);
              return check.ok ? checkLanes(relay) : check;
            },
          }),
    },
  };
}

function relayAlive(relay: Relay): Check {
  const { silentMs } = relay.standing();
  if (silentMs < hangsAfterMs) return { ok: true };
  return { ok: false, says: `the relay has not asked for work for ${Math.round(silentMs / 1000)} s` };
}

async function checkDatabase(pool: Pool, url: string): Promise<Check> {
  const { readOnly } = await readWritable(pool);
  return readOnly ? { ok: false, says: `${describeDatabase(url)} is read-only` } : { ok: true };
}

async function checkConfiguration(pool: Pool): Promise<Check> {
  const { configRevision } = await readSettings(pool);
  if (configRevision === 0) return { ok: false, says: 'none is applied: temporal-outbox config apply' };
  return { ok: true, says: `revision ${configRevision}` };
}

/** Reached, and the store that these rows belong to. */
async function checkTemporal(
  pool: Pool,
  temporal: Temporal,
  visibility: Visibility | undefined,
): Promise<Check> {
  const id = await askTemporal(temporal);
  if (id === null)
    return {
      ok: true,
      says: 'Temporal does not say which store it is: no right to describe the namespace, or a limit',
    };
  // Where the database is away, that is for its own check to say.
  const bound = await readSettings(pool).then(
    ({ temporalNamespaceId }) => temporalNamespaceId,
    () => id,
  );
  const missing = visibility?.says() ?? [];
  if (bound === id) return { ok: true, ...(missing.length > 0 ? { says: missing.join('; ') } : {}) };
  return {
    ok: false,
    says: `the rows belong to another Temporal store than namespace ${temporal.namespace}`,
  };
}

/** Null: it answers, and does not say which store it is. */
async function askTemporal(temporal: Temporal): Promise<string | null> {
  try {
    return await temporal.connection.withDeadline(Date.now() + temporalDeadlineMs, () =>
      namespaceIdOf(temporal),
    );
  } catch (error) {
    if (isWithheld(error)) return null;
    throw error;
  }
}

function checkLanes(relay: Relay): Check {
  const { lanes, heartbeatMs, leaseMs } = relay.standing();
  if (heartbeatMs <= leaseMs) return { ok: true, says: `holds ${lanes}` };
  return {
    ok: false,
    says: `the heartbeat is ${Math.round(heartbeatMs / 1000)} s old; others may have taken the lanes`,
  };
}

/** What was answered and PostgreSQL does not take. */
function checkOutcomes(worker: OutboxWorker, redact: (text: string) => string): Check {
  const waiting = worker.unwritten();
  if (waiting === undefined) return { ok: true };
  const { outcomes, waitedMs, says } = waiting;
  return {
    ok: false,
    says: `${counted(outcomes, 'outcome')} waiting to be written for ${Math.round(waitedMs / 1000)} s: ${redact(says)}`,
  };
}

/** No pause between two rounds is as long. */
const claimIsLongMs = 10_000;

function checkClaims(relay: Relay, redact: (text: string) => string): Check {
  const { trouble, silentMs } = relay.standing();
  if (trouble === undefined && silentMs < claimIsLongMs) return { ok: true };
  if (trouble === undefined)
    return { ok: false, says: `PostgreSQL has not answered a claim for ${Math.round(silentMs / 1000)} s` };
  const { lanes, forMs, says } = trouble;
  const what = lanes === null ? 'nothing' : `nothing of ${lanes.slice(0, 5).join(', ')}`;
  return { ok: false, says: `${what} is claimed for ${Math.round(forMs / 1000)} s: ${redact(says)}` };
}

function inWords(error: unknown, databaseUrl: string, redact: (text: string) => string): string {
  const explained = explainDatabaseError(error, describeDatabase(databaseUrl));
  const text = explained instanceof Error ? explained.message : String(explained);
  return redact(text.split('\n')[0] ?? '');
}

/** Milliseconds, since last asked; whoever asks every few seconds sees each stall once. */
function delayOf(delay: ReturnType<typeof monitorEventLoopDelay>): number {
  const ms = Math.round(delay.percentile(99) / 1e6);
  delay.reset();
  return ms;
}

/** What the latest configuration needs and this process has not got. */
function sendingCheck(worker: OutboxWorker): Check {
  const { destinations, producers } = worker.lacking();
  const lacking = [
    ...[...destinations].map(([name, { problem }]) => `cannot send to ${name}: ${problem}`),
    ...[...producers].flatMap(([name, { problem, byDesign }]) =>
      byDesign === true ? [] : [`cannot ask ${name} back: ${problem}`],
    ),
  ];
  return lacking.length === 0 ? { ok: true } : { ok: false, says: lacking.join('; ') };
}
