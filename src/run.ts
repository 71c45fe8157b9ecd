import type { Log } from '../activities/index.ts';
import type { Environment } from './core/secrets.ts';
import { OutboxError } from './errors.ts';
import { createRelay, type Relay } from './relay/relay.ts';
import { readSettings } from './storage/configuration.ts';
import { connect, type Pool } from './storage/connect.ts';
import { describeDatabase, explainDatabaseError } from './storage/errors.ts';
import { requireSchema } from './storage/migrate.ts';
import { adoptTemporal, bindTemporal } from './storage/recovery.ts';
import { connectTemporal, type Temporal, type TemporalSettings } from './temporal/connect.ts';
import { claimNamespace, inspectNamespace } from './temporal/namespace.ts';
import { Handover } from './worker/handover.ts';
import { createWorker, type OutboxWorker } from './worker/worker.ts';

export interface RunOptions {
  readonly databaseUrl: string;
  readonly temporal?: TemporalSettings;
  readonly log: Log;
  /** Which halves run in this process. Default both: only then are workflows started eagerly. */
  readonly roles?: { readonly relay: boolean; readonly worker: boolean };
  readonly env?: Environment;
  /** Take the rows over to the Temporal namespace at hand when they belong to another one. Default false: refuse. */
  readonly adopt?: boolean;
  readonly pollMs?: { readonly busy: number; readonly idle: number };
  readonly shutdownGraceMs?: number;
}

export interface Running {
  /** Rejects when the worker failed; resolves after stop(). */
  readonly finished: Promise<void>;
  /** Claims nothing more, lets requests under way end, closes every connection. Any number of calls. */
  stop(): Promise<void>;
}

/**
 * Starts relay and worker.
 * @throws OutboxError when the schema, PostgreSQL or Temporal is not as needed; nothing is left running then
 */
export async function run(options: RunOptions): Promise<Running> {
  const { log, roles = { relay: true, worker: true } } = options;
  const pool = connect(options.databaseUrl, {
    applicationName: 'temporal-outbox',
    onIdleError: (error) =>
      log.warn({ error: error.message }, 'a PostgreSQL connection broke; it is replaced'),
  });
  let temporal: Temporal | undefined;
  try {
    await requireSchema(pool).catch((error: unknown) => {
      throw explainDatabaseError(error, describeDatabase(options.databaseUrl));
    });
    temporal = await connectTemporal(options.temporal);
    const base = await prepare(pool, temporal, options);
    return await assemble(base, options, roles);
  } catch (error) {
    await temporal?.close().catch(() => undefined);
    await pool.end();
    throw error;
  }
}

interface Base {
  readonly pool: Pool;
  readonly temporal: Temporal;
  readonly name: string | null;
  readonly searchAttributes: boolean;
}

async function prepare(pool: Pool, temporal: Temporal, { adopt, log }: RunOptions): Promise<Base> {
  const settings = await readSettings(pool);
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
  await claimNamespace(temporal, settings.name, settings.databaseId);
  if (!facts.hasSearchAttributes)
    log.info({}, 'search attributes are not registered; workflow ids serve instead');
  return { pool, temporal, name: settings.name, searchAttributes: facts.hasSearchAttributes };
}

async function assemble(
  base: Base,
  options: RunOptions,
  roles: { readonly relay: boolean; readonly worker: boolean },
): Promise<Running> {
  let relay: Relay | undefined;
  const handover = new Handover();
  const worker = roles.worker ? await startWorker(base, options, handover, () => relay?.nudge()) : undefined;
  try {
    if (roles.relay) relay = await startRelay(base, options, worker === undefined ? undefined : handover);
  } catch (error) {
    await worker?.stop();
    throw error;
  }
  let settle: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => (settle = resolve));
  const stop = async (): Promise<void> => {
    try {
      await relay?.stop();
      await worker?.stop();
    } finally {
      await base.temporal.close();
      await base.pool.end();
      settle();
    }
  };
  let stopping: Promise<void> | undefined;
  return { finished: worker?.finished ?? stopped, stop: () => (stopping ??= stop()) };
}

function startWorker(
  base: Base,
  { log, env, shutdownGraceMs }: RunOptions,
  handover: Handover,
  onProgress: () => void,
): Promise<OutboxWorker> {
  return createWorker({
    ...base,
    log,
    handover,
    onProgress,
    ...(env === undefined ? {} : { env }),
    ...(shutdownGraceMs === undefined ? {} : { shutdownGraceMs }),
  });
}

function startRelay(base: Base, { log, pollMs }: RunOptions, handover: Handover | undefined): Promise<Relay> {
  return createRelay({
    ...base,
    log,
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
