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
import { failpoint } from '../src/failpoints.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { asError } from './asError.ts';
import { persist } from './persist.ts';
import { workflowIdHere } from './workflowIdHere.ts';

/** Acknowledgements written at once, and how long the first of them waits for company. Measured best: about 100 rows or 10 ms. */
const flushRows = 100;
const flushAfterMs = 10;

/**
 * Writes outcomes of one run to the rows, a few at a time, while sending goes on. What has been sent and is not yet
 * flushed is what a crash can duplicate.
 */
export class Ledger {
  /** A later execution owns the batch: nothing more of this run counts. */
  fenced = false;
  readonly #dependencies: ActivityDependencies;
  readonly #run: BatchRun & { readonly lane: string };
  readonly #stop: AbortController;
  readonly #failures: FailureRow[] = [];
  #acknowledged: string[] = [];
  #late: LateSuccessRow[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #error: unknown;

  constructor(
    dependencies: ActivityDependencies,
    run: BatchRun & { readonly lane: string },
    stop: AbortController,
  ) {
    this.#dependencies = dependencies;
    this.#run = run;
    this.#stop = stop;
  }

  acknowledged(seq: string): void {
    this.#acknowledged.push(seq);
    if (this.#acknowledged.length >= flushRows) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), flushAfterMs);
  }

  /** Of a delivery that had failed before: how it went is history worth keeping. */
  acknowledgedLate(success: LateSuccessRow): void {
    this.#late.push(success);
    this.#timer ??= setTimeout(() => this.#flush(), flushAfterMs);
  }

  /** Failures are written at the end of the run: what they mean may depend on how the others fared. */
  failed(failure: FailureRow): void {
    this.#failures.push(failure);
  }

  /**
   * Writes what is left and ends the attempt. Answers what the batch still holds, null when fenced; throws what a write met
   * that waiting could not mend.
   */
  async close(maxSingles: number): Promise<BatchSummary | null> {
    clearTimeout(this.#timer);
    await this.#writing;
    const { pool, keepDelivered: keep } = this.#dependencies;
    const { signal } = this.#stop;
    if (!this.fenced && this.#error === undefined && this.#failures.length > 0) {
      await failpoint('before-failures');
      const ok = await this.#timed(() =>
        persist(() => recordFailures(pool, this.#run, this.#failures), signal),
      );
      if (ok) this.#tellFailures();
      else this.#fence();
      await failpoint('after-failures');
    }
    await this.#writeLate();
    if (this.#error !== undefined) throw asError(this.#error);
    if (this.fenced) return null;
    const last = this.#acknowledged.splice(0);
    await failpoint('before-finish');
    const summary = await this.#timed(() =>
      persist(() => finishAttempt(pool, this.#run, last, { maxSingles, keep }), signal),
    );
    await failpoint('after-finish');
    if (summary !== null) this.#dependencies.telemetry.settled(this.#run.lane, 'delivered', last.length);
    return summary;
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
      const ok = await this.#timed(() => persist(write, this.#stop.signal));
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

  #tellFailures(): void {
    const { telemetry, outcomes } = this.#dependencies;
    for (const { destination, park } of this.#failures)
      telemetry.settled(destination, park === null ? 'retried' : 'parked', 1);
    outcomes.failed(workflowIdHere(), this.#failures);
  }

  #fence(): void {
    this.fenced = true;
    this.#stop.abort();
    this.#dependencies.log.warn({ ...this.#run }, 'a later execution owns this batch: stopped sending');
  }
}
