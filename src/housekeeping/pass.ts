/** One pass of housekeeping: days past retention go, what is unsettled stays, old rows are deleted in small portions. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../activities/index.ts';
import { makePartitions } from '../storage/claims.ts';
import { inTransaction, type Pool, type Queryable } from '../storage/connect.ts';
import {
  cancelDetach,
  detachConcurrently,
  dropDetached,
  dropPartitionBriefly,
  finishDetach,
  keepUnsettled,
  limitWaiting,
  mayDetach,
  notePassBegun,
  notePassOver,
  notePassStep,
  partitionsPastRetention,
  purge,
  purgeable,
  readLag,
  takeHouseLock,
  type AgedPartition,
  type Lag,
  type Purgeable,
} from '../storage/housekeeping.ts';
import { purgeReplays } from '../storage/replays.ts';
import { daysAhead } from '../storage/status.ts';

export interface HousekeepingReport {
  /** Days made, of all tables together. */
  readonly made: number;
  /** Whole days from now for which there is room; below 0 producers cannot write. */
  readonly daysAhead: number;
  /** Days dropped, with the bytes they held. */
  readonly dropped: readonly { readonly name: string; readonly bytes: number }[];
  /** Days that should go and could not yet, and why; the next pass goes on with them. */
  readonly waiting: readonly { readonly name: string; readonly why: string }[];
  /** Unsettled rows copied aside before their day went. */
  readonly kept: number;
  readonly deleted: Readonly<Record<Purgeable, number>>;
  readonly lag: Lag;
  readonly durationMs: number;
}

export interface PassOptions {
  readonly pool: Pool;
  readonly log: Log;
  /** Told what is begun: for heartbeats and people. */
  readonly onStep?: (step: string) => void;
  /** Ends the pass between two steps; what was done stays done. */
  readonly signal?: AbortSignal;
}

/** Copies and deletions are portions of so many rows, each a transaction of its own. */
const portion = 2_000;
/** A pass waits so long for a lock, and then leaves that day to the next pass. */
const lockMs = 5_000;
const statementMs = 50_000;
/** For who may not detach concurrently: a lock is asked for so often, each time for a tenth of a second. */
const briefTries = 5;

/** Answers null when another pass is under way: one at a time is enough. */
export async function keepHouse(options: PassOptions): Promise<HousekeepingReport | null> {
  // This transaction holds the lock alone; the work goes by other connections, each step in a transaction of its own. So no
  // connection keeps anything of ours once it is given back.
  return inTransaction(options.pool, async (guard) =>
    (await takeHouseLock(guard)) ? pass(guard, options) : null,
  );
}

async function pass(
  guard: Queryable,
  { pool, log, onStep, signal }: PassOptions,
): Promise<HousekeepingReport> {
  const startedAt = performance.now();
  await notePassBegun(pool);
  const begin = async (step: string): Promise<void> => {
    signal?.throwIfAborted();
    onStep?.(step);
    // Where the lock is lost, with its connection, another pass may be under way.
    await guard.query('select 1');
    await notePassStep(pool, step);
  };
  await begin('making days');
  const made = await makePartitions(pool);
  const days = await dropDays(pool, begin);
  const deleted = Object.fromEntries(purgeable.map((what) => [what, 0])) as Record<Purgeable, number>;
  for (const what of purgeable) {
    for (let more = true; more;) {
      await begin(`deleting ${what}`);
      const count = await briefly(pool, (db) => purge(db, what, portion));
      deleted[what] += count;
      more = count >= portion;
    }
  }
  for (let more = true; more;) {
    await begin('deleting replays');
    more = (await briefly(pool, (db) => purgeReplays(db, portion))) >= portion;
  }
  const lag = await readLag(pool);
  const durationMs = Math.round(performance.now() - startedAt);
  const report = { made, daysAhead: await daysAhead(pool), ...days, deleted, lag, durationMs };
  await notePassOver(pool, report);
  say(log, report);
  return report;
}

type Days = Pick<HousekeepingReport, 'dropped' | 'waiting' | 'kept'>;

/** One step: a transaction with limits of its own. */
async function briefly<T>(pool: Pool, step: (db: Queryable) => Promise<T>): Promise<T> {
  return inTransaction(pool, async (client) => {
    await limitWaiting(client, lockMs, statementMs);
    return step(client);
  });
}

async function dropDays(pool: Pool, begin: (step: string) => Promise<void>): Promise<Days> {
  const dropped: { name: string; bytes: number }[] = [];
  const waiting: { name: string; why: string }[] = [];
  const drop = (await mayDetach(pool)) ? dropConcurrently : dropBriefly;
  let kept = 0;
  for (const day of await partitionsPastRetention(pool)) {
    // PostgreSQL detaches one at a time: behind one that waits, the others of its table wait too.
    if (waiting.some(({ name }) => name.startsWith(`${day.parent}_`))) continue;
    await begin(`dropping ${day.name}`);
    try {
      kept += await keepAll(pool, day);
      kept += await drop(pool, day);
      dropped.push({ name: day.name, bytes: day.bytes });
    } catch (error) {
      const why = heldUp(error);
      if (why === null) throw error;
      waiting.push({ name: day.name, why });
    }
  }
  return { dropped, waiting, kept };
}

async function dropConcurrently(pool: Pool, day: AgedPartition): Promise<number> {
  if (day.state === 'attached') await detach(pool, day);
  if (day.state === 'detaching') await briefly(pool, (db) => finishDetach(db, day.name));
  return dropOutOfSight(pool, day);
}

/** Waits so long for open transactions, holding nobody up, and is then ended from beside. */
async function detach(pool: Pool, day: AgedPartition): Promise<void> {
  const tag = randomUUID();
  const cancel = (): void => void cancelDetach(pool, tag).catch(() => false);
  // Again and again: one look may come between two waits.
  let every: NodeJS.Timeout | undefined;
  const first = setTimeout(() => {
    cancel();
    every = setInterval(cancel, 1_000);
  }, lockMs);
  try {
    // As it is: a pool whose settings a pooler keeps from it puts each statement into a transaction, where this one is refused.
    const client = await pool.connect();
    await detachConcurrently(client, day, tag).finally(() => client.release());
  } catch (error) {
    if ((error as { code?: unknown }).code !== '57014') throw error;
    throw new HeldUp(openTransaction, { cause: error });
  } finally {
    clearTimeout(first);
    clearInterval(every);
  }
}

async function dropBriefly(pool: Pool, day: AgedPartition): Promise<number> {
  for (let tries = 1; day.state === 'attached'; tries++) {
    try {
      await briefly(pool, (db) => dropPartitionBriefly(db, day.name));
      return 0;
    } catch (error) {
      if (heldUp(error) === null || tries >= briefTries) throw error;
      await sleep(200 * tries);
    }
  }
  if (day.state === 'detaching') await briefly(pool, (db) => finishDetach(db, day.name));
  return dropOutOfSight(pool, day);
}

/** A producer's transaction that was open while the day was copied has ended by now: what it left unsettled is kept too. */
async function dropOutOfSight(pool: Pool, day: AgedPartition): Promise<number> {
  const kept = await keepAll(pool, day);
  await briefly(pool, (db) => dropDetached(db, day.name));
  return kept;
}

async function keepAll(pool: Pool, { parent, name }: AgedPartition): Promise<number> {
  if (parent === 'delivered') return 0;
  let kept = 0;
  for (;;) {
    const count = await briefly(pool, (db) => keepUnsettled(db, name, portion));
    kept += count;
    if (count < portion) return kept;
  }
}

const openTransaction = 'an open transaction holds a lock; the next pass tries again';

class HeldUp extends Error {}

/** Somebody's open transaction is in the way; null for any other error. */
function heldUp(error: unknown): string | null {
  if (error instanceof HeldUp) return error.message;
  const { code } = (error ?? {}) as { code?: unknown };
  if (code === '55P03') return openTransaction;
  if (code === '57014') return 'it took too long; the next pass goes on';
  return null;
}

const oldAfterMs = 10 * 60_000;

function say(log: Log, report: HousekeepingReport): void {
  const { dropped, waiting, deleted, lag, daysAhead: ahead } = report;
  const fields = {
    ...report,
    dropped: dropped.map(({ name }) => name),
    waiting: waiting.map(({ name, why }) => `${name}: ${why}`),
  };
  if (waiting.length > 0) log.warn(fields, 'housekeeping: days past retention could not be dropped yet');
  else log.info(fields, 'housekeeping done');
  if (ahead < 7)
    log.warn({ daysAhead: ahead }, 'days are missing ahead: without one for today producers cannot write');
  if (deleted.unrouted > 0)
    log.warn({ events: deleted.unrouted }, 'events that no route took are gone, past their retention');
  if (lag.staleClaims > 0) log.warn({ ...lag }, 'claims are stuck in their first attempt');
  if ((lag.oldestDueMs ?? 0) > oldAfterMs) log.warn({ ...lag }, 'deliveries wait long after they were due');
}
