import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { activityInfo, cancellationSignal } from '@temporalio/activity';
import {
  beginAlone,
  breakUp,
  chunk,
  forgiveRun,
  loadRows,
  openBatch,
  summarize,
  type BatchSummary,
  type OpenedBatch,
  type OpenedRows,
} from '../src/storage/attempts.ts';
import { returnRows } from '../src/storage/circuits.ts';
import type { Pool } from '../src/storage/connect.ts';
import { batchIdOf } from '../src/core/ids.ts';
import { sharedLane } from '../src/core/sharedLane.ts';
import { failpoint } from '../src/failpoints.ts';
import { traceClaim } from '../src/tracing/claim.ts';
import type { ActivityDependencies, Reachable } from './dependencies.ts';
import { asError } from './asError.ts';
import { deliverRows, isOver } from './deliverRows.ts';
import { heartbeating } from './heartbeating.ts';
import { Ledger } from './ledger.ts';
import { MixedAttempt } from './mixed.ts';
import { persist } from './persist.ts';
import { leftToOthers, maximumSingles } from './standards.ts';
import { workflowIdHere } from './workflowIdHere.ts';

export interface AttemptInput {
  /** No new request is begun after this many milliseconds; what is under way is waited for. */
  readonly softLimitMs: number;
  /** Begin only after so many milliseconds, a second at most: too short for a workflow's timer. Default 0. */
  readonly waitMs?: number;
}

/** Workers that may be lost over one batch, in a row and without any outcome, before it is taken for poisoned. The last three were in its own turn. */
const maximumFruitless = 4;

/** This process leaves and could not ask what is left: the next attempt, an ordinary activity, is another process's, and reads the rows. */
const leftToNext: BatchSummary = {
  left: 1,
  unsent: 1,
  retrying: 0,
  nextDueMs: null,
  parked: 0,
  rows: [],
  singles: [],
};

/**
 * Sends what is due of this workflow's batch. Outcomes are written to the rows as answers come in, under the batch's
 * fencing token; what is returned is only what the rows say, so losing the result and running again loses nothing.
 */
export async function attempt(
  dependencies: ActivityDependencies,
  input: AttemptInput,
): Promise<BatchSummary> {
  const workflowId = workflowIdHere();
  try {
    return await dependencies.underWay.inTurn(workflowId, cancellationSignal(), () =>
      attemptNow(dependencies, workflowId, input),
    );
  } catch (error) {
    // The SDK would try a local activity again in this process, and not let it end before: with PostgreSQL away, never.
    if (activityInfo().isLocal && dependencies.leaving.over.aborted) return leftToNext;
    throw error;
  }
}

async function attemptNow(
  dependencies: ActivityDependencies,
  workflowId: string,
  input: AttemptInput,
): Promise<BatchSummary> {
  const { pool, processId, leaving } = dependencies;
  if (input.waitMs !== undefined) await pause(dependencies, input.waitMs);
  const signal = AbortSignal.any([cancellationSignal(), leaving.over]);
  const persisted = <T>(work: () => Promise<T>): Promise<T> => persist(work, { signal });
  const summarized = (): Promise<BatchSummary> =>
    persisted(() => summarize(pool, workflowId, batchIdOf(workflowId)));
  const opened =
    dependencies.takeOpened(workflowId) ?? (await persisted(() => openTraced(pool, workflowId, processId)));
  if (opened === undefined) return summarized();

  await failpoint('after-load');
  const { batch } = opened;
  try {
    // Fenced: whoever took the batch over writes the rest; its own workflow execution goes by its own summary.
    if (batch.held) return (await persisted(() => returnRows(pool, batch, [], null))) ?? (await summarized());
    const find = () => dependencies.destinations.find(batch.lane, batch.configRevision);
    const reachable = batch.lane === sharedLane ? undefined : await persisted(find);
    if (reachable !== undefined && reachable.problem !== null)
      return (await persisted(() => returnRows(pool, batch, [], leftToOthers))) ?? (await summarized());
    const summary =
      batch.fruitless > maximumFruitless
        ? await persisted(() => reportPoison(dependencies, workflowId, batch))
        : batch.suspect
          ? await attemptInTurn(dependencies, batch, reachable, input.softLimitMs)
          : await attemptOpened(dependencies, opened, reachable, input.softLimitMs);
    return summary ?? (await summarized());
  } catch (error) {
    // This process is alive: whatever ended the run, it was not the loss of a worker.
    await forgiveRun(pool, batch).catch(() => undefined);
    throw error;
  }
}

/** Opens the batch and loads its first rows, as whoever claimed them elsewhere, or before, did not for this attempt. */
async function openTraced(
  pool: Pool,
  workflowId: string,
  processId: string,
): Promise<OpenedRows | undefined> {
  const askedAt = performance.now();
  const opened = await openBatch(pool, workflowId, processId, chunk);
  if (opened !== undefined)
    traceClaim({ lane: opened.batch.lane, by: 'load', rows: opened.rows, more: 0, askedAt });
  return opened;
}

/** A worker that is to stop waits for nothing: what is not due then is the next one's. */
async function pause({ leaving }: ActivityDependencies, ms: number): Promise<void> {
  const signal = AbortSignal.any([cancellationSignal(), leaving.asked]);
  await sleep(ms, undefined, { signal }).catch(() => cancellationSignal().throwIfAborted());
}

/**
 * What a worker was lost over is found by trying one at a time: of two that are under way nobody could tell which it was. The others of this
 * process wait, and nothing is charged to them. A turn ends with the first outcome that is written. Null, with nothing begun, where this is
 * not the place to wait.
 */
async function attemptInTurn(
  dependencies: ActivityDependencies,
  batch: OpenedBatch,
  reachable: Reachable | undefined,
  softLimitMs: number,
): Promise<BatchSummary | null> {
  const { pool, leaving, processId, underWay, onProgress } = dependencies;
  // It may take minutes, and a local activity holds signals up.
  if (activityInfo().isLocal) return null;
  const signal = AbortSignal.any([cancellationSignal(), leaving.asked]);
  const persisted = <T>(work: () => Promise<T>): Promise<T> => persist(work, { signal });
  const alone = async (endTurn: () => void): Promise<BatchSummary | null> => {
    const begun = await persisted(() => beginAlone(pool, batch, processId));
    if (begun === null) return null;
    if (begun.held) return persisted(() => returnRows(pool, batch, [], null));
    const rows = await persisted(() => loadRows(pool, batch.batchId, '0', chunk));
    const told = (lane: string): void => {
      endTurn();
      onProgress(lane);
    };
    return attemptOpened({ ...dependencies, onProgress: told }, { batch, rows }, reachable, softLimitMs);
  };
  let attempting: Promise<BatchSummary | null> = Promise.resolve(null);
  const turn = (): Promise<void> =>
    new Promise((resolve) => {
      attempting = alone(resolve);
      attempting.then(
        () => resolve(),
        () => resolve(),
      );
    });
  return heartbeating(async () => {
    await underWay.inTurn('suspects', signal, turn).catch((error: unknown) => {
      // It leaves: another process attempts it.
      if (!leaving.asked.aborted || cancellationSignal().aborted) throw error;
    });
    return attempting;
  });
}

async function attemptOpened(
  dependencies: ActivityDependencies,
  { batch, rows }: OpenedRows,
  reachable: Reachable | undefined,
  softLimitMs: number,
): Promise<BatchSummary | null> {
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // each destination's sender listens
  const cancelled = cancellationSignal();
  const { over } = dependencies.leaving;
  const abort = (): void => stop.abort();
  cancelled.addEventListener('abort', abort, { once: true });
  over.addEventListener('abort', abort, { once: true });
  const untilMs = performance.now() + softLimitMs;
  const limits = { signal: stop.signal, untilMs, returnsRest: activityInfo().isLocal };
  try {
    return await heartbeating(async () => {
      if (batch.lane === sharedLane) {
        const takesIn = batch.run === 1 && batch.fruitless === 0;
        return new MixedAttempt(dependencies, batch, stop, { ...limits, takesIn }).run(rows);
      }
      const takesIn = batch.run === 1 && batch.fruitless === 0 && (reachable?.config.batch.maximum ?? 1) > 1;
      for (let [first, mayTakeIn] = [rows, takesIn]; ; mayTakeIn = false) {
        const ledger = new Ledger(dependencies, batch, stop, reachable);
        const sending = deliverRows(dependencies, batch, first, ledger, { ...limits, takesIn: mayTakeIn });
        // What was answered is written even if sending broke off: else it would be sent again.
        const failure = await sending.then(
          () => null,
          (error: unknown) => ({ error }),
        );
        // Beyond this activity's own limit, where PostgreSQL takes so long.
        const summary = await ledger.close(maximumSingles);
        if (failure !== null) throw asError(failure.error);
        cancelled.throwIfAborted();
        // Rows that joined the batch, and that nobody handed over: the hand-over is a hint.
        const isLeftOver = mayTakeIn && summary !== null && summary.unsent > 0;
        if (!isLeftOver || !ledger.isClean || isOver(dependencies, limits)) return summary;
        first = await persist(() => loadRows(dependencies.pool, batch.batchId, '0', chunk), limits);
      }
    });
  } finally {
    cancelled.removeEventListener('abort', abort);
    over.removeEventListener('abort', abort);
    dependencies.onProgress(batch.lane);
  }
}

async function reportPoison(
  { pool, log }: ActivityDependencies,
  workflowId: string,
  opened: OpenedBatch,
): Promise<BatchSummary | null> {
  log.warn(
    { workflowId, lane: opened.lane, fruitless: opened.fruitless },
    'workers keep dying on this batch: breaking it up',
  );
  return breakUp(pool, opened);
}
