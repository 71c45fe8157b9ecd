import {
  acknowledge,
  acknowledgeLate,
  finishAttempt,
  type BatchRun,
  type BatchSummary,
  type LateSuccessRow,
} from '../src/storage/attempts.ts';
import { failpoint } from '../src/failpoints.ts';
import { sharedLane } from '../src/core/sharedLane.ts';
import { mayBeAboutRow } from '../src/storage/errors.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { asError } from './asError.ts';
import { flushAfterMs, flushRows } from './ledger.ts';
import { persist, type Patience } from './persist.ts';

/** A row that was acknowledged and is not written yet. */
export interface Success {
  readonly destination: string;
  readonly seq: string;
  readonly type: string;
  /** Of one that had failed before. */
  readonly late: LateSuccessRow | null;
  /** For the circuit's counts; null for none. */
  readonly windowMs: number | null;
}

/**
 * Writes what a batch that mixes destinations was acknowledged, a few rows at a time. All else is not written here: a destination with a
 * failure, or with a success that PostgreSQL does not take, leaves the batch.
 */
export class MixedLedger {
  fenced = false;
  readonly patience: Patience;
  readonly #dependencies: ActivityDependencies;
  readonly #run: BatchRun;
  readonly #stop: AbortController;
  readonly #refused: (successes: readonly Success[]) => void;
  readonly #fenced = new AbortController();
  #waiting: Success[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #error: unknown;

  /** `refused`: told of successes that PostgreSQL takes exception to; they are still in the batch. */
  constructor(
    dependencies: ActivityDependencies,
    run: BatchRun,
    stop: AbortController,
    refused: (successes: readonly Success[]) => void,
  ) {
    this.#dependencies = dependencies;
    this.#run = run;
    this.#stop = stop;
    this.#refused = refused;
    const { leaving, unwritten } = dependencies;
    this.patience = { signal: AbortSignal.any([this.#fenced.signal, leaving.over]), unwritten };
  }

  get isClean(): boolean {
    return !this.fenced && this.#error === undefined;
  }

  /** Rows that are acknowledged and not written. */
  get unwritten(): string[] {
    return this.#waiting.map(({ seq }) => seq);
  }

  acknowledged(success: Success): void {
    this.#dependencies.acknowledged
      .memoryOf(success.destination)
      .acknowledge(success.type, performance.now());
    this.#waiting.push(success);
    if (this.#waiting.length >= flushRows) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), flushAfterMs);
  }

  /** Takes back those of a destination that are not written: they leave with it. */
  takeOf(destination: string): Success[] {
    const own = this.#waiting.filter((success) => success.destination === destination);
    if (own.length > 0)
      this.#waiting = this.#waiting.filter((success) => success.destination !== destination);
    return own;
  }

  /** Does the work while nothing of this batch is being written; not when the attempt has ended. An error of it ends the attempt. */
  exclusively(work: () => Promise<void>): Promise<void> {
    return (this.#writing = this.#writing.then(async () => {
      if (!this.isClean) return;
      try {
        await work();
      } catch (error) {
        this.#error = error;
        this.#stop.abort();
      }
    }));
  }

  /** What waits is written. Throws where that cannot be; answers false when fenced. */
  async written(): Promise<boolean> {
    this.#flush();
    let writing: Promise<void>;
    do await (writing = this.#writing);
    while (writing !== this.#writing);
    if (this.#error !== undefined) throw asError(this.#error);
    return !this.fenced;
  }

  /** Ends the attempt; null when fenced. */
  async close(maxSingles: number): Promise<BatchSummary | null> {
    if (!(await this.written())) return null;
    const { pool, keepDelivered: keep } = this.#dependencies;
    await failpoint('before-finish');
    const summary = await persist(
      () => finishAttempt(pool, this.#run, [], { maxSingles, keep }),
      this.patience,
    );
    await failpoint('after-finish');
    return summary;
  }

  fence(): void {
    if (this.fenced) return;
    this.fenced = true;
    this.#fenced.abort();
    this.#stop.abort();
    this.#dependencies.log.warn({ ...this.#run }, 'a later execution owns this batch: stopped sending');
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length > 0) void this.exclusively(() => this.#write());
  }

  async #write(): Promise<void> {
    const successes = this.#waiting;
    if (successes.length === 0) return;
    this.#waiting = [];
    const { onProgress, telemetry } = this.#dependencies;
    await failpoint('before-flush');
    const began = performance.now();
    try {
      const plain = successes.filter(({ late }) => late === null);
      const late = successes.flatMap((success) => success.late ?? []);
      const ok =
        (late.length === 0 || (await this.#take(late, acknowledgeLate))) &&
        (plain.length === 0 ||
          (await this.#take(
            plain.map(({ seq }) => seq),
            acknowledge,
          )));
      telemetry.flushed(performance.now() - began);
      await failpoint('after-flush');
      if (ok) this.#note(successes);
      else this.fence();
      onProgress(sharedLane);
    } catch (error) {
      if (!mayBeAboutRow(error)) throw error;
      this.#refused(successes);
    }
  }

  #take<Row>(
    rows: readonly Row[],
    write: (
      pool: ActivityDependencies['pool'],
      run: BatchRun,
      rows: readonly Row[],
      keep: boolean,
    ) => Promise<boolean>,
  ): Promise<boolean> {
    const { pool, keepDelivered } = this.#dependencies;
    return persist(() => write(pool, this.#run, rows, keepDelivered), {
      ...this.patience,
      count: rows.length,
    });
  }

  #note(successes: readonly Success[]): void {
    const { acknowledged, evidence, telemetry } = this.#dependencies;
    const byName = new Map<string, { count: number; windowMs: number | null }>();
    for (const { destination, windowMs } of successes) {
      const noted = byName.get(destination);
      if (noted === undefined) byName.set(destination, { count: 1, windowMs });
      else noted.count++;
    }
    for (const [destination, { count, windowMs }] of byName) {
      evidence.taken(`delivered ${destination}`);
      telemetry.settled(destination, 'delivered', count);
      if (windowMs !== null) acknowledged.add(destination, count, windowMs);
    }
  }
}
