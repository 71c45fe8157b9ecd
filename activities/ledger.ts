import { askedToWaitMs, asksToWait } from '../src/core/askedToWait.ts';
import { stopsEarly, Tally } from '../src/core/circuit.ts';
import {
  acknowledge,
  acknowledgeLate,
  finishAttempt,
  recordFailures,
  type BatchRun,
  type BatchSummary,
  type FailureRow,
  type LateSuccessRow,
} from '../src/storage/attempts.ts';
import { returnRows, type CircuitChange } from '../src/storage/circuits.ts';
import { failpoint } from '../src/failpoints.ts';
import type { ActivityDependencies, Reachable } from './dependencies.ts';
import { asError } from './asError.ts';
import { judgeAttempt, type NotedFailure } from './judgeAttempt.ts';
import { persist } from './persist.ts';
import { workflowIdHere } from './workflowIdHere.ts';

/**
 * Acknowledgements written at once, and how long the first of them waits for company. A commit costs 0.4 ms of CPU whatever it
 * holds, three quarters of that the wait for the disk; two batches at 13,000 events/s gather 65 rows each in 10 ms, 160 in 25.
 */
const flushRows = 250;
const flushAfterMs = 25;

/**
 * Writes outcomes of one run to the rows, a few at a time, while sending goes on. What has been sent and is not yet
 * flushed is what a crash can duplicate.
 */
export class Ledger {
  /** A later execution owns the batch: nothing more of this run counts. */
  fenced = false;
  /** Enough has failed alike to know what the rest of the batch would meet: it need not be sent. */
  enough = false;
  readonly tally: Tally;
  readonly failures: NotedFailure[] = [];
  readonly #dependencies: ActivityDependencies;
  readonly #run: BatchRun & { readonly lane: string };
  readonly #stop: AbortController;
  readonly #reachable: Reachable | undefined;
  #acknowledged: string[] = [];
  #late: LateSuccessRow[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #error: unknown;

  constructor(
    dependencies: ActivityDependencies,
    run: BatchRun & { readonly lane: string },
    stop: AbortController,
    reachable: Reachable | undefined,
  ) {
    this.#dependencies = dependencies;
    this.#run = run;
    this.#stop = stop;
    this.#reachable = reachable;
    this.tally = new Tally(dependencies.acknowledged.memoryOf(run.lane));
  }

  acknowledged(seq: string, type: string): void {
    this.tally.acknowledge(type, performance.now());
    this.#acknowledged.push(seq);
    if (this.#acknowledged.length >= flushRows) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), flushAfterMs);
  }

  /** Of a delivery that had failed before: how it went is history worth keeping. */
  acknowledgedLate(success: LateSuccessRow, type: string): void {
    this.tally.acknowledge(type, performance.now());
    this.#late.push(success);
    this.#timer ??= setTimeout(() => this.#flush(), flushAfterMs);
  }

  /** Failures are written at the end of the run: what they mean may depend on how the others fared. */
  failed(noted: NotedFailure): void {
    this.failures.push(noted);
    const { outcome, again, type, row, sinceFirstMs } = noted;
    if (outcome === null || this.#reachable === undefined) return;
    const { config, pace } = this.#reachable;
    const asked = asksToWait(config.retry, outcome);
    const sinceMs = performance.now() - row.durationMs - sinceFirstMs;
    this.tally.fail(outcome, { asked, again, type, eventId: row.eventId, sinceMs });
    if (asked)
      pace.toldToWait(config.concurrency, () => performance.now(), askedToWaitMs(config.retry, [outcome]));
    const forgivenMs = this.#dependencies.acknowledged.forgivenMs(this.#run.lane);
    if (stopsEarly(config.circuit, this.tally, forgivenMs)) this.enough = true;
  }

  /**
   * Writes what is left and ends the attempt. Answers what the batch still holds, null when fenced; throws what a write met
   * that waiting could not mend.
   */
  async close(maxSingles: number): Promise<BatchSummary | null> {
    clearTimeout(this.#timer);
    await this.#writing;
    const { pool, keepDelivered: keep } = this.#dependencies;
    const canWrite = !this.fenced && this.#error === undefined;
    const given = canWrite && this.failures.length > 0 ? await this.#settleFailures() : null;
    await this.#writeLate();
    if (this.#error !== undefined) throw asError(this.#error);
    if (this.fenced) return null;
    if (given !== null) return given;
    this.#noteAcknowledged();
    const last = this.#acknowledged.splice(0);
    await failpoint('before-finish');
    const summary = await this.#persisted(() => finishAttempt(pool, this.#run, last, { maxSingles, keep }));
    await failpoint('after-finish');
    if (summary !== null) this.#dependencies.telemetry.settled(this.#run.lane, 'delivered', last.length);
    return summary;
  }

  /** Writes the acknowledgements that wait; for a probe, whose failures are judged elsewhere. Answers false when fenced. */
  async writeAcknowledged(): Promise<boolean> {
    this.#flush();
    await this.#writing;
    await this.#writeLate();
    if (this.#error !== undefined) throw asError(this.#error);
    return !this.fenced;
  }

  /** Answers false when fenced. */
  async record(failures: readonly NotedFailure[]): Promise<boolean> {
    if (failures.length === 0) return true;
    const rows = failures.map(({ row }) => row);
    await failpoint('before-failures');
    const ok = await this.#persisted(() => recordFailures(this.#dependencies.pool, this.#run, rows));
    if (ok) this.#tellFailures(rows);
    else this.#fence();
    await failpoint('after-failures');
    return ok;
  }

  /** The batch's rows go back uncharged, these failures among them; null when fenced. `change`: what they did to the destination. */
  async giveBack(
    failures: readonly NotedFailure[],
    change: CircuitChange | null,
  ): Promise<BatchSummary | null> {
    const rows = failures.map(({ row }) => ({ ...row, charged: false, park: null }));
    const summary = await this.#persisted(() => returnRows(this.#dependencies.pool, this.#run, rows, change));
    if (summary === null) this.#fence();
    else this.#tellFailures(rows);
    return summary;
  }

  /**
   * Charges the failures to their events, or, where they are the destination's fault, gives all that is left of the batch back.
   * Answers a summary in the second case only.
   */
  async #settleFailures(): Promise<BatchSummary | null> {
    const { lane } = this.#run;
    const attempt = { config: this.#reachable?.config, tally: this.tally, failures: this.failures };
    const { returned, own, change } = await this.#persisted(() =>
      judgeAttempt(this.#dependencies, lane, attempt),
    );
    if (returned === null) {
      await this.record(own);
      return null;
    }
    if (!(await this.writeAcknowledged()) || !(await this.record(own))) return null;
    return this.giveBack(returned, change);
  }

  /** Nothing is written for an attempt that went well; the next failure tells of it. */
  #noteAcknowledged(): void {
    const config = this.#reachable?.config.circuit;
    if (config !== undefined && this.failures.length === 0)
      this.#dependencies.acknowledged.add(this.#run.lane, this.tally.acknowledged, config.windowMs);
  }

  #persisted<T>(write: () => Promise<T>): Promise<T> {
    return this.#timed(() => persist(write, this.#stop.signal));
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#late.length > 0) this.#writing = this.#writing.then(() => this.#writeLate());
    if (this.#acknowledged.length > 0) this.#writing = this.#writing.then(() => this.#write());
  }

  /** One write at a time; what gathers meanwhile goes with the next. */
  async #write(): Promise<void> {
    const seqs = this.#acknowledged;
    if (seqs.length === 0 || this.fenced || this.#error !== undefined) return;
    this.#acknowledged = [];
    const { pool, keepDelivered } = this.#dependencies;
    await this.#settle(seqs.length, () => acknowledge(pool, this.#run, seqs, keepDelivered));
  }

  async #writeLate(): Promise<void> {
    const late = this.#late;
    if (late.length === 0 || this.fenced || this.#error !== undefined) return;
    this.#late = [];
    const { pool, keepDelivered } = this.#dependencies;
    await this.#settle(late.length, () => acknowledgeLate(pool, this.#run, late, keepDelivered));
  }

  async #settle(count: number, write: () => Promise<boolean>): Promise<void> {
    const { onProgress, telemetry } = this.#dependencies;
    try {
      await failpoint('before-flush');
      const ok = await this.#persisted(write);
      await failpoint('after-flush');
      if (ok) telemetry.settled(this.#run.lane, 'delivered', count);
      else this.#fence();
      onProgress(this.#run.lane);
    } catch (error) {
      this.#error = error;
      this.#stop.abort();
    }
  }

  async #timed<T>(write: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const written = await write();
    this.#dependencies.telemetry.flushed(performance.now() - began);
    return written;
  }

  #tellFailures(failures: readonly FailureRow[]): void {
    const { telemetry, outcomes } = this.#dependencies;
    for (const { destination, park } of failures)
      telemetry.settled(destination, park === null ? 'retried' : 'parked', 1);
    outcomes.failed(workflowIdHere(), failures);
  }

  #fence(): void {
    this.fenced = true;
    this.#stop.abort();
    this.#dependencies.log.warn({ ...this.#run }, 'a later execution owns this batch: stopped sending');
  }
}
