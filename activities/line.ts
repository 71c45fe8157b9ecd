import { KeyChains } from '../src/core/keyChains.ts';
import type { BatchRun, DeliveryRow } from '../src/storage/attempts.ts';
import type { Reachable } from './dependencies.ts';
import type { Ledger } from './ledger.ts';

/**
 * A destination is slow that has so many rows here and answers after more than so many milliseconds. With fewer it is in nobody's way: a batch that
 * waits for an answer takes in no more after four seconds, so there are few of them at a time.
 */
const slow = { rows: 5, ms: 1_000 };

/** What one destination has in a batch that mixes them. */
export class Line {
  readonly name: string;
  /** Undefined for a destination that is gone. */
  readonly reachable: Reachable | undefined;
  /** Rows under way, by seq, and since when (performance.now()). */
  readonly underWay = new Map<string, number>();
  /** Rows that came and have not begun. */
  readonly held = new Set<string>();
  /** Rows that left the batch before they came: whoever hands them over is late. */
  readonly gone = new Set<string>();
  /** It leaves the batch. */
  parting: Parting | undefined;
  #waiting: DeliveryRow[] = [];
  #whenIdle: (() => void)[] = [];
  #chains = new KeyChains<DeliveryRow>();

  constructor(name: string, reachable: Reachable | undefined) {
    this.name = name;
    this.reachable = reachable;
  }

  get mayBegin(): boolean {
    return this.#waiting.length > 0 && this.parting === undefined && this.underWay.size < this.#limit;
  }

  get #limit(): number {
    const { reachable } = this;
    return reachable?.pace.limit(reachable.config.concurrency, clock) ?? 1;
  }

  /** Of each key one row is under way at a time. */
  admit(row: DeliveryRow): void {
    this.held.add(row.seq);
    if (row.orderKey === null || this.#chains.admit(row.orderKey, row)) this.#waiting.push(row);
  }

  begin(): DeliveryRow {
    const row = this.#waiting.shift() as DeliveryRow;
    this.held.delete(row.seq);
    this.underWay.set(row.seq, performance.now());
    return row;
  }

  /** A row is over; the next one of its key takes its turn. */
  ended(row: DeliveryRow, acknowledged: boolean): void {
    this.underWay.delete(row.seq);
    const next = row.orderKey === null ? undefined : this.#chains.settled(row.orderKey, acknowledged);
    if (next !== undefined) this.#waiting.unshift(next);
    if (this.underWay.size === 0) for (const told of this.#whenIdle.splice(0)) told();
  }

  /** Until nothing is under way. */
  async idle(): Promise<void> {
    if (this.underWay.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** What has not begun is somebody else's. */
  forget(): void {
    this.held.clear();
    this.#waiting = [];
    this.#chains = new KeyChains();
  }

  knows(seq: string): boolean {
    return this.held.has(seq) || this.underWay.has(seq);
  }

  /** Rows that went back to their lane; those that are still on their way here are not to be sent when they come. */
  returned(seqs: readonly string[]): void {
    for (const seq of seqs) if (!this.held.has(seq)) this.gone.add(seq);
  }

  isSlow(nowMs: number): boolean {
    if (this.underWay.size + this.held.size < slow.rows) return false;
    for (const sinceMs of this.underWay.values()) return nowMs - sinceMs > slow.ms;
    return false;
  }
}

const clock = (): number => performance.now();

export interface OwnBatch {
  readonly run: BatchRun;
  readonly workflowId: string;
  readonly ledger: Ledger;
}

/** A destination on its way into a batch of its own: what becomes known of its rows meanwhile is noted there. */
export class Parting {
  /** Rows of which something is noted. */
  readonly seqs = new Set<string>();
  /** The batch of its own, in its first run; undefined before there is one. */
  own: OwnBatch | undefined;
  #notes: ((ledger: Ledger) => void)[] = [];

  note(seq: string, told: (ledger: Ledger) => void): void {
    this.seqs.add(seq);
    if (this.own === undefined) this.#notes.push(told);
    else told(this.own.ledger);
  }

  open(own: OwnBatch): void {
    this.own = own;
    for (const told of this.#notes.splice(0)) told(own.ledger);
  }
}
