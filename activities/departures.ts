import { randomUUID } from 'node:crypto';
import { forgiveRun, type OpenedBatch } from '../src/storage/attempts.ts';
import { returnRows } from '../src/storage/circuits.ts';
import { handBack, partOff } from '../src/storage/sharedLane.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { Ledger } from './ledger.ts';
import { Parting, type Line } from './line.ts';
import type { MixedLedger, Success } from './mixedLedger.ts';
import { persist } from './persist.ts';
import { leftToOthers, maximumSingles } from './standards.ts';

/** How a destination leaves a batch that mixes them, and what is done for it then. */
export class Departures {
  readonly #dependencies: ActivityDependencies;
  readonly #batch: OpenedBatch;
  readonly #ledger: MixedLedger;
  readonly #stir: () => void;
  readonly #leaving = new Set<Promise<void>>();

  /** `stir`: called when one has left. */
  constructor(dependencies: ActivityDependencies, batch: OpenedBatch, ledger: MixedLedger, stir: () => void) {
    this.#dependencies = dependencies;
    this.#batch = batch;
    this.#ledger = ledger;
    this.#stir = stir;
  }

  /** Whether none is leaving. */
  get isDone(): boolean {
    return this.#leaving.size === 0;
  }

  /** The destination leaves the batch, with all of it that is under way; what has not begun goes back to its lane. */
  part(line: Line): Parting {
    const { shared, onReturned } = this.#dependencies;
    const parting = (line.parting = new Parting());
    shared.settling(line.name);
    const left = this.#ledger
      .exclusively(() => this.#moveOut(line, parting))
      .then(() => this.#settle(line, parting))
      .finally(() => {
        line.parting = undefined;
        line.forget();
        shared.settled(line.name);
        this.#leaving.delete(left);
        onReturned(line.name);
        this.#stir();
      });
    this.#leaving.add(left);
    return parting;
  }

  async #moveOut(line: Line, parting: Parting): Promise<void> {
    for (const success of this.#ledger.takeOf(line.name)) noteSuccess(parting, success);
    const kept = (): string[] => [...parting.seqs, ...line.underWay.keys()];
    const { pool } = this.#dependencies;
    const run = { batchId: randomUUID(), run: 1, lane: line.name };
    const part = () => partOff(pool, this.#batch, line.name, run.batchId, kept());
    const parted = await persist(part, this.#ledger.patience);
    if (parted === undefined) return this.#ledger.fence();
    line.returned(parted.returned);
    // Whoever fences it fences nothing else.
    const ledger = new Ledger(this.#dependencies, run, new AbortController(), line.reachable);
    parting.open({ run, workflowId: parted.workflowId, ledger });
  }

  /** Judges what became of it, as at the end of any attempt; what is left goes on in workflows of its own. Never rejects. */
  async #settle(line: Line, parting: Parting): Promise<void> {
    await line.idle();
    if (parting.own === undefined) return;
    const { pool, log, startApart } = this.#dependencies;
    const { run, workflowId, ledger } = parting.own;
    const own = { workflowId, lane: line.name, eventId: null, eventType: null };
    try {
      const summary = await ledger.close(maximumSingles);
      if (summary !== null) startApart([...summary.singles, ...(summary.left > 0 ? [own] : [])]);
    } catch (error) {
      log.warn({ workflowId, error: String(error) }, 'an attempt broke off; its workflow goes on');
      await forgiveRun(pool, run).catch(() => undefined);
      startApart([own]);
    }
  }

  /** Rows of a destination that is leaving, claimed before that was known. */
  handBack(line: Line, seqs: readonly string[]): Promise<void> {
    const { pool, onReturned } = this.#dependencies;
    return this.#ledger.exclusively(async () => {
      if (!(await persist(() => handBack(pool, this.#batch, seqs), this.#ledger.patience)))
        return this.#ledger.fence();
      for (const seq of seqs) line.held.delete(seq);
      onReturned(line.name);
    });
  }

  /** This process lacks what it takes to send these. */
  leaveToOthers(line: Line, seqs: readonly string[]): Promise<void> {
    const { pool } = this.#dependencies;
    const { patience } = this.#ledger;
    return this.#ledger.exclusively(async () => {
      const run = { batchId: randomUUID(), run: 1 };
      const parted = await persist(() => partOff(pool, this.#batch, line.name, run.batchId, seqs), patience);
      if (parted === undefined) return this.#ledger.fence();
      line.returned(parted.returned);
      line.forget();
      await persist(() => returnRows(pool, run, [], leftToOthers), patience);
    });
  }
}

export function noteSuccess(parting: Parting, { seq, type, late }: Success): void {
  parting.note(seq, (ledger) =>
    late === null ? ledger.acknowledged(seq, type) : ledger.acknowledgedLate(late, type),
  );
}
