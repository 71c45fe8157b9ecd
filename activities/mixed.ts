import {
  chunk,
  giveBack,
  loadRows,
  type BatchSummary,
  type DeliveryRow,
  type OpenedBatch,
} from '../src/storage/attempts.ts';
import { sharedLane } from '../src/core/sharedLane.ts';
import { asError } from './asError.ts';
import { Departures, noteSuccess } from './departures.ts';
import type { ActivityDependencies, Intake } from './dependencies.ts';
import { deliverSafely, isOver, note, type Limits, type RowOutcome } from './deliverRows.ts';
import { Line } from './line.ts';
import { MixedLedger, type Success } from './mixedLedger.ts';
import { persist } from './persist.ts';
import { maximumSingles } from './standards.ts';
import { mayHaveMore } from './supply.ts';

const lookEveryMs = 250;

/**
 * The attempt of a batch that mixes destinations. Each has a line of its own: its concurrency, its order per key, and its trouble, with which
 * it leaves the batch. The others go on meanwhile.
 */
export class MixedAttempt {
  readonly #dependencies: ActivityDependencies;
  readonly #batch: OpenedBatch;
  readonly #limits: Limits;
  readonly #ledger: MixedLedger;
  readonly #lines = new Map<string, Line>();
  readonly #departures: Departures;
  #underWay = 0;
  #isOpen = false;
  readonly #waiting = new Set<() => void>();

  constructor(dependencies: ActivityDependencies, batch: OpenedBatch, stop: AbortController, limits: Limits) {
    this.#dependencies = dependencies;
    this.#batch = batch;
    this.#limits = limits;
    this.#ledger = new MixedLedger(dependencies, batch, stop, (successes) => this.#refused(successes));
    this.#departures = new Departures(dependencies, batch, this.#ledger, () => this.#stir());
  }

  /** Sends `first` and what joins it; answers what is left of the batch, null when fenced. */
  async run(first: readonly DeliveryRow[]): Promise<BatchSummary | null> {
    const looking = setInterval(() => this.#lookForSlow(), lookEveryMs);
    const bell = setTimeout(() => this.#stir(), Math.max(this.#limits.untilMs - performance.now(), 0) + 1);
    try {
      for (let [rows, takesIn] = [first, this.#limits.takesIn === true]; ; takesIn = false) {
        const failure = await this.#send(rows, takesIn).then(
          () => null,
          (error: unknown) => ({ error }),
        );
        // However it ended, nothing is under way any more, and what was answered is written.
        await this.#until(() => this.#underWay === 0 && this.#departures.isDone);
        const summary = await this.#ledger.close(maximumSingles);
        if (failure !== null) throw asError(failure.error);
        // Rows that joined the batch, and that nobody handed over: the hand-over is a hint.
        if (!takesIn || summary === null || summary.unsent === 0 || this.#isOver) return summary;
        rows = await this.#load('0');
      }
    } finally {
      clearInterval(looking);
      clearTimeout(bell);
    }
  }

  /** Its time is not up while it takes in rows: the door has a time of its own. */
  get #untilMs(): number {
    return this.#isOpen ? Infinity : this.#limits.untilMs;
  }

  get #isOver(): boolean {
    const limits = { ...this.#limits, untilMs: this.#untilMs };
    return !this.#ledger.isClean || isOver(this.#dependencies, limits);
  }

  async #send(first: readonly DeliveryRow[], takesIn: boolean): Promise<void> {
    for (let rows = first; rows.length > 0 && !this.#isOver;) {
      await this.#admit(rows);
      rows = mayHaveMore(rows) ? await this.#load(rows.at(-1)?.seq ?? '0') : [];
    }
    if (takesIn && !this.#isOver) await this.#takeIn();
    await this.#until(() => this.#isOver || this.#underWay === 0);
    const { signal, untilMs, returnsRest } = this.#limits;
    const isTimeUp = performance.now() >= untilMs && !signal.aborted && this.#ledger.isClean;
    if (returnsRest === true && isTimeUp && !this.#dependencies.leaving.asked.aborted)
      await this.#ledger.exclusively(() => this.#returnRest());
  }

  async #takeIn(): Promise<void> {
    const intake: Intake = this.#dependencies.openIntake(this.#batch);
    this.#isOpen = true;
    const leave = (): void => intake.leave();
    const signals = [this.#limits.signal, this.#dependencies.leaving.asked];
    for (const signal of signals) signal.addEventListener('abort', leave, { once: true });
    try {
      for (;;) {
        const rows = await intake.next(() => this.#underWay > 0);
        if (rows.length === 0 || this.#isOver) return;
        await this.#admit(rows);
      }
    } finally {
      this.#isOpen = false;
      leave();
      for (const signal of signals) signal.removeEventListener('abort', leave);
    }
  }

  #load(after: string): Promise<DeliveryRow[]> {
    return persist(() => loadRows(this.#dependencies.pool, this.#batch.batchId, after, chunk), this.#limits);
  }

  async #admit(rows: readonly DeliveryRow[]): Promise<void> {
    const touched = new Set<Line>();
    const late = new Map<Line, string[]>();
    const lacking = new Map<Line, string[]>();
    for (const row of rows) {
      const line = this.#lines.get(row.destination) ?? (await this.#openLine(row.destination));
      if (line.gone.delete(row.seq) || line.knows(row.seq)) continue;
      if (line.parting !== undefined) {
        line.held.add(row.seq);
        late.set(line, [...(late.get(line) ?? []), row.seq]);
      } else if (line.reachable?.problem != null) {
        line.held.add(row.seq);
        lacking.set(line, [...(lacking.get(line) ?? []), row.seq]);
      } else {
        line.admit(row);
        touched.add(line);
      }
    }
    for (const line of touched) this.#pump(line);
    for (const [line, seqs] of late) void this.#departures.handBack(line, seqs);
    for (const [line, seqs] of lacking) void this.#departures.leaveToOthers(line, seqs);
  }

  async #openLine(name: string): Promise<Line> {
    const find = () => this.#dependencies.destinations.find(name, this.#batch.configRevision);
    const line = new Line(name, await persist(find, this.#limits));
    this.#lines.set(name, line);
    return line;
  }

  #pump(line: Line): void {
    while (line.mayBegin && !this.#isOver) {
      const row = line.begin();
      this.#underWay++;
      void deliverSafely(this.#dependencies, row, line.reachable, this.#limits.signal).then((outcome) => {
        this.#underWay--;
        this.#ended(line, row, outcome);
        this.#stir();
      });
    }
  }

  #ended(line: Line, row: DeliveryRow, outcome: RowOutcome): void {
    const isAcknowledged = 'acknowledged' in outcome || 'late' in outcome;
    line.ended(row, isAcknowledged);
    if (line.parting !== undefined || 'failure' in outcome) {
      const parting = line.parting ?? this.#departures.part(line);
      if (!('aborted' in outcome)) parting.note(row.seq, (ledger) => note(ledger, row, outcome));
    } else if (isAcknowledged) {
      this.#ledger.acknowledged({
        destination: line.name,
        seq: row.seq,
        type: row.type ?? '',
        late: 'late' in outcome ? outcome.late : null,
        windowMs: line.reachable?.config.circuit.windowMs ?? null,
      });
      this.#pump(line);
    }
  }

  /** PostgreSQL does not take these: whose fault it is is found in the batch of each destination. */
  #refused(successes: readonly Success[]): void {
    for (const success of successes) {
      const line = this.#lines.get(success.destination);
      if (line !== undefined) noteSuccess(line.parting ?? this.#departures.part(line), success);
    }
  }

  /**
   * Time is up: what has not begun goes back to its lane, where another batch takes it at once. With this one it would wait until the slowest of
   * what is under way is answered.
   */
  async #returnRest(): Promise<void> {
    const lines = [...this.#lines.values()];
    const begun = lines.flatMap(({ underWay, parting }) => [...underWay.keys(), ...(parting?.seqs ?? [])]);
    const { pool, onReturned } = this.#dependencies;
    const kept = [...begun, ...this.#ledger.unwritten];
    const given = await persist(() => giveBack(pool, this.#batch, kept), this.#ledger.patience);
    for (const line of lines) line.forget();
    if (given !== null && given > 0) onReturned(sharedLane);
  }

  #lookForSlow(): void {
    for (const line of this.#lines.values())
      if (line.isSlow(performance.now())) this.#dependencies.shared.slow(line.name);
  }

  /** Whoever waits looks again. */
  #stir(): void {
    for (const wake of this.#waiting) wake();
  }

  async #until(met: () => boolean): Promise<void> {
    while (!met()) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }
}
