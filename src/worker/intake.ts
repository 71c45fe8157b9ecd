import type { Intake as Taking } from '../../activities/index.ts';
import type { DeliveryRow, OpenedBatch } from '../storage/attempts.ts';
import type { Joined } from '../storage/claims.ts';

/** Rows asked for at a time. More of them per claim cost less each; those that are not begun in time were claimed in vain. */
const portion = { least: 50, most: 500 };
/** A portion that waited for longer than this was too large. */
const longMs = 250;
const leastMs = 5;
/** Between looks whether the next batch has come. */
const againMs = 250;

type Portion = Pick<Joined, 'rows' | 'rest'>;

export interface IntakeOptions {
  readonly batch: OpenedBatch;
  /** From the attempt's beginning (performance.now()): from when on the next batch may be started, and until when this one takes in rows. */
  readonly successorFromMs: number;
  readonly untilMs: number;
  /** Where the next one is long in coming, until when at most. Default: no longer. */
  readonly atMostMs?: number;
  /** How long to wait for a row in vain, as of now; 0 when it is not to wait at all. */
  readonly patienceMs: () => number;
  /** Loads rows that were claimed and not loaded. */
  readonly load: (seqs: readonly string[]) => Promise<DeliveryRow[]>;
  readonly onClose: () => void;
}

/**
 * The door of an open batch: rows come in by it while the first attempt runs. Whoever claims for it asks only while it `wants` some, says
 * before that it asks, and pushes or says that it was in vain: so what is claimed before the door closes still comes through it.
 * What does not is found by the attempt's last look.
 */
export class Intake implements Taking {
  readonly batch: OpenedBatch;
  /** The batch that follows is on its way. */
  hasSuccessor = false;
  readonly #options: IntakeOptions;
  #end: NodeJS.Timeout;
  #closed = false;
  #asking = false;
  #portion = portion.most;
  #queue: Portion | undefined;
  #queuedAt = 0;
  /** Minus infinity: nothing did. */
  #cameAt = -Infinity;
  #wake: (() => void) | undefined;

  constructor(options: IntakeOptions) {
    this.batch = options.batch;
    this.#options = options;
    this.#end = setTimeout(() => this.#timeIsUp(), Math.max(options.untilMs - performance.now(), 0));
  }

  #timeIsUp(): void {
    const { atMostMs = 0 } = this.#options;
    if (this.#closed) return;
    if (performance.now() >= atMostMs || !this.isUsed) this.close();
    else this.#end = setTimeout(() => this.#timeIsUp(), againMs);
  }

  get accepting(): boolean {
    return !this.#closed;
  }

  /** Rows that it would like to be asked for now. */
  get wants(): number {
    return this.#closed || this.#asking || this.#queue !== undefined ? 0 : this.#portion;
  }

  /** Whether to start the batch that follows, so that it is there when this one closes. */
  get needsSuccessor(): boolean {
    const now = performance.now();
    return !this.#closed && !this.hasSuccessor && now >= this.#options.successorFromMs;
  }

  /**
   * Something came in, or is waited for, within the time that the lane's traffic leads to expect. Where nothing ever did, there is no use in a next
   * one: a lane that fell silent after an event a second would have one after another for good.
   */
  get isUsed(): boolean {
    return this.#queue !== undefined || performance.now() - this.#cameAt < this.#options.patienceMs();
  }

  asks(): void {
    this.#asking = true;
  }

  /** What came of asking; undefined: nothing, or nobody knows. */
  answered(joined: Joined | undefined): void {
    this.#asking = false;
    if (joined !== undefined && joined.rows.length > 0) {
      this.#queue = joined;
      this.#queuedAt = this.#cameAt = performance.now();
    }
    if (joined?.closed === true) this.close();
    this.#wake?.();
  }

  /** Whether rows wait here that nobody has taken. */
  get holds(): boolean {
    return this.#queue !== undefined;
  }

  /** Rows that came; none when nothing more will come. `isBusy`: whether the attempt waits for answers anyway. */
  async next(isBusy: () => boolean): Promise<readonly DeliveryRow[]> {
    const since = performance.now();
    for (;;) {
      if (this.#queue !== undefined) {
        const rows = await this.#take(this.#queue);
        if (rows.length > 0) return rows;
        continue;
      }
      if (this.#closed && !this.#asking) return [];
      const patienceMs = this.#options.patienceMs();
      const leftMs = since + patienceMs - performance.now();
      // While it waits for answers it may as well take in what comes.
      if (patienceMs === 0 || (leftMs <= 0 && !isBusy())) this.close();
      await this.#somethingWithin(Math.max(leftMs, leastMs));
      this.#portion = portion.most;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#end);
    this.#options.onClose();
    this.#wake?.();
  }

  /** Nobody will ask for rows any more: what is still under way comes too late. */
  leave(): void {
    this.close();
    this.#asking = false;
    this.#wake?.();
  }

  /** What was not loaded with the claim is loaded before anything else is let in: order per key. */
  async #take({ rows, rest }: Portion): Promise<readonly DeliveryRow[]> {
    if (performance.now() - this.#queuedAt > longMs)
      this.#portion = Math.max(this.#portion / 2, portion.least);
    const taken = rows.length > 0 ? rows : await this.#options.load(rest);
    const left = rows.length > 0 ? rest : rest.slice(taken.length);
    this.#queue = taken.length === 0 || left.length === 0 ? undefined : { rows: [], rest: left };
    return taken;
  }

  async #somethingWithin(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#wake = wake;
    });
  }
}
