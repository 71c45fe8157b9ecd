import { askedToWaitMs, asksToWait } from '../src/core/askedToWait.ts';
import { stopsEarly, Tally } from '../src/core/circuit.ts';
import {
  acknowledge,
  acknowledgeLate,
  finishAttempt,
  parkUnwritten,
  recordFailures,
  type BatchRun,
  type BatchSummary,
  type FailureRow,
  type LateSuccessRow,
} from '../src/storage/attempts.ts';
import { returnRows, type CircuitChange } from '../src/storage/circuits.ts';
import { failpoint } from '../src/failpoints.ts';
import { inShort, mayBeAboutRow } from '../src/storage/errors.ts';
import type { ActivityDependencies, Reachable } from './dependencies.ts';
import { asError } from './asError.ts';
import { judgeAttempt, type NotedFailure } from './judgeAttempt.ts';
import { persist, persistAnyhow, persistApart, type Patience, type Refused } from './persist.ts';
import { settleRefused, type Alone } from './refused.ts';
import { workflowIdHere } from './workflowIdHere.ts';

/**
 * Acknowledgements written at once, and how long the first of them waits for company. A commit costs 0.4 ms of CPU whatever it
 * holds, three quarters of that the wait for the disk; two batches at 13,000 events/s gather 65 rows each in 10 ms, 160 in 25.
 */
export const flushRows = 250;
export const flushAfterMs = 25;

/**
 * Writes outcomes of one run to the rows, a few at a time, while sending goes on. What has been sent and is not yet
 * flushed is what a crash can duplicate; nothing else can: while PostgreSQL does not take it, it is tried again until the run is
 * fenced or the process leaves, whatever became of the activity.
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
  readonly #fenced = new AbortController();
  readonly #patience: Patience;
  readonly #reachable: Reachable | undefined;
  #acknowledged: string[] = [];
  #late: LateSuccessRow[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #error: unknown;
  #onFailure: (() => void) | undefined;
  /** Acknowledgements that other attempts of this process know of. */
  #noted = 0;

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
    const { leaving, unwritten } = dependencies;
    this.#patience = { signal: AbortSignal.any([this.#fenced.signal, leaving.over]), unwritten };
  }

  /** Everything that was sent was acknowledged, and is written. */
  get isClean(): boolean {
    return this.failures.length === 0 && !this.fenced && this.#error === undefined;
  }

  /** Rows with an outcome that is not written, nor on its way. */
  get unwritten(): string[] {
    const late = this.#late.map(({ seq }) => seq);
    return [...this.#acknowledged, ...late, ...this.failures.map(({ row }) => row.seq)];
  }

  /** Calls back at each failure. */
  set onFailure(told: () => void) {
    this.#onFailure = told;
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
    this.#onFailure?.();
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
   * Writes what is left and ends the attempt. Answers what the batch still holds, null when fenced; throws when the process leaves
   * before PostgreSQL took it.
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
    const finish = (seqs: readonly string[]) => (): Promise<BatchSummary | null> =>
      finishAttempt(pool, this.#run, seqs, { maxSingles, keep });
    const summary = await this.#persisted(last.length, finish(last)).catch(async (error: unknown) => {
      if (!mayBeAboutRow(error)) throw error;
      return (await this.#acknowledgeApart(last)) ? this.#anyhow(0, finish([])) : null;
    });
    if (summary !== null && last.length > 0) this.#dependencies.evidence.taken(this.#kind('delivered'));
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

  /**
   * Does the work while nothing of this run is being written, and what is answered meanwhile waits in `unwritten`; not when fenced.
   * For what concerns the rest of the batch: of a row whose acknowledgement is on its way neither list would know.
   */
  async exclusively(work: () => Promise<void>): Promise<void> {
    const turn = this.#writing.then(() => (this.fenced || this.#error !== undefined ? undefined : work()));
    this.#writing = turn.catch(() => undefined);
    await turn;
  }

  /** Answers false when fenced. */
  async record(failures: readonly NotedFailure[]): Promise<boolean> {
    if (failures.length === 0) return true;
    const rows = failures.map(({ row }) => row);
    await failpoint('before-failures');
    const ok = await this.#timed(() =>
      persistApart(
        rows,
        (some) => this.#recordFailures(some),
        (refused) => this.#failBare(refused),
        this.#patience,
      ),
    );
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
    const { pool } = this.#dependencies;
    const rows = failures.map(({ row }) => ({ ...row, charged: false, park: null }));
    const give = (some: readonly FailureRow[]) => (): Promise<BatchSummary | null> =>
      returnRows(pool, this.#run, some, change);
    const summary = await this.#persisted(rows.length, give(rows)).catch((error: unknown) => {
      if (!mayBeAboutRow(error)) throw error;
      // What was answered is not theirs to answer for: without the attempts that PostgreSQL does not take they go back all the same.
      this.#dependencies.log.error(
        { ...this.#run, error: inShort(error) },
        'attempts cannot be written down',
      );
      return this.#anyhow(rows.length, give([]));
    });
    if (summary === null) this.#fence();
    else this.#tellFailures(rows, true);
    return summary;
  }

  /**
   * Charges the failures to their events, or, where they are the destination's fault, gives all that is left of the batch back.
   * Answers a summary in the second case only.
   */
  async #settleFailures(): Promise<BatchSummary | null> {
    const { lane } = this.#run;
    const attempt = {
      config: this.#reachable?.config,
      tally: this.tally,
      failures: this.failures,
      noted: this.#noted,
    };
    const { returned, own, change } = await judgeAttempt(this.#dependencies, lane, attempt, (count) =>
      this.#anyhow(this.failures.length, count),
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
    if (config === undefined || this.failures.length > 0) return;
    this.#dependencies.acknowledged.add(
      this.#run.lane,
      this.tally.acknowledged - this.#noted,
      config.windowMs,
    );
    this.#noted = this.tally.acknowledged;
  }

  #persisted<T>(count: number, write: () => Promise<T>): Promise<T> {
    return this.#timed(() => persist(write, { ...this.#patience, count }));
  }

  #anyhow<T>(count: number, write: () => Promise<T>): Promise<T> {
    return this.#timed(() => persistAnyhow(write, { ...this.#patience, count }));
  }

  #acknowledgeApart(seqs: readonly string[]): Promise<boolean> {
    return this.#timed(() =>
      persistApart(
        seqs,
        (some) => this.#acknowledge(some),
        (refused, since) =>
          this.#parkRefused(
            'delivered',
            refused.map((each) => ({ ...each, seq: each.row, what: 'It was delivered' })),
            since,
            (seq) => this.#acknowledge([seq]),
          ),
        this.#patience,
      ),
    );
  }

  async #acknowledge(seqs: readonly string[]): Promise<boolean> {
    const { pool, keepDelivered, evidence } = this.#dependencies;
    const ok = await acknowledge(pool, this.#run, seqs, keepDelivered);
    if (ok) evidence.taken(this.#kind('delivered'));
    return ok;
  }

  async #recordFailures(rows: readonly FailureRow[]): Promise<boolean> {
    const { pool, evidence } = this.#dependencies;
    const ok = await recordFailures(pool, this.#run, rows);
    if (ok) evidence.taken(this.#kind('failed'));
    return ok;
  }

  /** What cannot be said of these failures is left out; if nothing at all can be, a person decides. */
  #failBare(refused: readonly Refused<FailureRow>[]): Promise<boolean> {
    const bare = refused.map(({ row, error }) => {
      const plain = {
        ...row,
        message: `PostgreSQL did not take the answer: ${inShort(error)}`,
        excerpt: null,
      };
      const { address: _address, headers: _headers, ...rest } = plain;
      return rest;
    });
    return persistApart(
      bare,
      (some) => this.#recordFailures(some),
      (again, since) =>
        this.#parkRefused(
          'failed',
          again.map((each) => ({ ...each, seq: each.row.seq, what: `It failed (${each.row.errorClass})` })),
          since,
          (row) => this.#recordFailures([row]),
        ),
      this.#patience,
    );
  }

  #kind(outcome: 'delivered' | 'failed'): string {
    return `${outcome} ${this.#run.lane}`;
  }

  #parkRefused<Row>(
    outcome: 'delivered' | 'failed',
    refused: readonly Alone<Row>[],
    since: number,
    write: (row: Row) => Promise<boolean>,
  ): Promise<boolean> {
    return settleRefused(
      { ...this.#dependencies, patience: this.#patience },
      { kind: this.#kind(outcome), refused, since, write },
      (seq, what, error) => this.#parkAlone(seq, what, error),
    );
  }

  #parkAlone(seq: string, what: string, error: unknown): Promise<boolean> {
    const { pool, log } = this.#dependencies;
    const message = `${what}, and PostgreSQL does not take that: ${inShort(error)}`;
    log.error({ ...this.#run, seq, error: inShort(error) }, 'an outcome cannot be written: parked');
    return persistAnyhow(() => parkUnwritten(pool, this.#run, seq, message), { ...this.#patience, count: 1 });
  }

  #flush(): void {
    this.#noteAcknowledged();
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
    await this.#settle(seqs.length, () => this.#acknowledgeApart(seqs));
  }

  async #writeLate(): Promise<void> {
    const late = this.#late;
    if (late.length === 0 || this.fenced || this.#error !== undefined) return;
    this.#late = [];
    const { pool, keepDelivered } = this.#dependencies;
    const write = (some: readonly LateSuccessRow[]): Promise<boolean> =>
      acknowledgeLate(pool, this.#run, some, keepDelivered);
    // That it was delivered matters more than how.
    const refused = (rows: readonly Refused<LateSuccessRow>[]): Promise<boolean> =>
      this.#acknowledgeApart(rows.map(({ row: { seq } }) => seq));
    await this.#settle(late.length, () =>
      this.#timed(() => persistApart(late, write, refused, this.#patience)),
    );
  }

  async #settle(count: number, write: () => Promise<boolean>): Promise<void> {
    const { onProgress, telemetry } = this.#dependencies;
    try {
      await failpoint('before-flush');
      const ok = await write();
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

  /** `returned`: they wait with their destination, for as long as it is held. */
  #tellFailures(failures: readonly FailureRow[], returned = false): void {
    const { telemetry, outcomes } = this.#dependencies;
    for (const { destination, park } of failures)
      telemetry.settled(destination, park === null ? 'retried' : 'parked', 1);
    outcomes.failed(workflowIdHere(), failures, returned);
  }

  #fence(): void {
    this.fenced = true;
    this.#fenced.abort();
    this.#stop.abort();
    this.#dependencies.log.warn({ ...this.#run }, 'a later execution owns this batch: stopped sending');
  }
}
