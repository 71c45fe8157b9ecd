/** One pass of housekeeping: days past retention go, what is unsettled stays, old rows are deleted in small portions. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../activities/index.ts';
import type { Pool, Queryable } from '../storage/connect.ts';
import {
  detachConcurrently,
  dropDetached,
  dropPartitionBriefly,
  finishDetach,
  giveHouseLock,
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
  waitAsBefore,
  type AgedPartition,
  type Lag,
  type Purgeable,
} from '../storage/housekeeping.ts';

export interface HousekeepingReport {
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
  // A connection of its own: DDL outside of transactions, under a lock that dies with the connection.
  const client = await options.pool.connect();
  let broken = true;
  try {
    if (!(await takeHouseLock(client))) {
      broken = false;
      return null;
    }
    await limitWaiting(client, lockMs, statementMs);
    const report = await pass(client, options);
    await waitAsBefore(client);
    await giveHouseLock(client);
    broken = false;
    return report;
  } finally {
    // After an error nobody knows what it holds: closed, it holds nothing.
    client.release(broken);
  }
}

async function pass(db: Queryable, { log, onStep, signal }: PassOptions): Promise<HousekeepingReport> {
  const startedAt = performance.now();
  await notePassBegun(db);
  const begin = async (step: string): Promise<void> => {
    signal?.throwIfAborted();
    onStep?.(step);
    await notePassStep(db, step);
  };
  const days = await dropDays(db, begin);
  const deleted = Object.fromEntries(purgeable.map((what) => [what, 0])) as Record<Purgeable, number>;
  for (const what of purgeable) {
    for (let more = true; more;) {
      await begin(`deleting ${what}`);
      const count = await purge(db, what, portion);
      deleted[what] += count;
      more = count >= portion;
    }
  }
  const lag = await readLag(db);
  const durationMs = Math.round(performance.now() - startedAt);
  const report = { ...days, deleted, lag, durationMs };
  await notePassOver(db, report);
  say(log, report);
  return report;
}

type Days = Pick<HousekeepingReport, 'dropped' | 'waiting' | 'kept'>;

async function dropDays(db: Queryable, begin: (step: string) => Promise<void>): Promise<Days> {
  const dropped: { name: string; bytes: number }[] = [];
  const waiting: { name: string; why: string }[] = [];
  const drop = (await mayDetach(db)) ? dropConcurrently : dropBriefly;
  let kept = 0;
  for (const day of await partitionsPastRetention(db)) {
    // PostgreSQL detaches one at a time: behind one that waits, the others of its table wait too.
    if (waiting.some(({ name }) => name.startsWith(`${day.parent}_`))) continue;
    await begin(`dropping ${day.name}`);
    try {
      kept += await keepAll(db, day);
      kept += await drop(db, day);
      dropped.push({ name: day.name, bytes: day.bytes });
    } catch (error) {
      const why = heldUp(error);
      if (why === null) throw error;
      waiting.push({ name: day.name, why });
    }
  }
  return { dropped, waiting, kept };
}

async function dropConcurrently(db: Queryable, day: AgedPartition): Promise<number> {
  if (day.state === 'attached') await detachConcurrently(db, day);
  if (day.state === 'detaching') await finishDetach(db, day.name);
  return dropOutOfSight(db, day);
}

async function dropBriefly(db: Queryable, day: AgedPartition): Promise<number> {
  for (let tries = 1; day.state === 'attached'; tries++) {
    try {
      await dropPartitionBriefly(db, day.name);
      return 0;
    } catch (error) {
      if (heldUp(error) === null || tries >= briefTries) throw error;
      await sleep(200 * tries);
    }
  }
  if (day.state === 'detaching') await finishDetach(db, day.name);
  return dropOutOfSight(db, day);
}

/** A producer's transaction that was open while the day was copied has ended by now: what it left unsettled is kept too. */
async function dropOutOfSight(db: Queryable, day: AgedPartition): Promise<number> {
  const kept = await keepAll(db, day);
  await dropDetached(db, day.name);
  return kept;
}

async function keepAll(db: Queryable, { parent, name }: AgedPartition): Promise<number> {
  if (parent === 'delivered') return 0;
  let kept = 0;
  for (;;) {
    const count = await keepUnsettled(db, name, portion);
    kept += count;
    if (count < portion) return kept;
  }
}

/** Somebody's open transaction is in the way; null for any other error. */
function heldUp(error: unknown): string | null {
  const { code } = (error ?? {}) as { code?: unknown };
  if (code === '55P03') return 'an open transaction holds a lock; the next pass tries again';
  if (code === '57014') return 'it took too long; the next pass goes on';
  return null;
}

const oldAfterMs = 10 * 60_000;

function say(log: Log, report: HousekeepingReport): void {
  const { dropped, waiting, deleted, lag } = report;
  const fields = {
    ...report,
    dropped: dropped.map(({ name }) => name),
    waiting: waiting.map(({ name, why }) => `${name}: ${why}`),
  };
  if (waiting.length > 0) log.warn(fields, 'housekeeping: days past retention could not be dropped yet');
  else log.info(fields, 'housekeeping done');
  if (deleted.unrouted > 0)
    log.warn({ events: deleted.unrouted }, 'events that no route took are gone, past their retention');
  if (lag.staleClaims > 0) log.warn({ ...lag }, 'claims are stuck in their first attempt');
  if ((lag.oldestDueMs ?? 0) > oldAfterMs) log.warn({ ...lag }, 'deliveries wait long after they were due');
}
