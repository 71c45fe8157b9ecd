import { randomUUID } from 'node:crypto';
import { forgiveRun, type OpenedBatch } from '../src/storage/attempts.ts';
import { returnRows } from '../src/storage/circuits.ts';
import { handBack, partOff, type Parted } from '../src/storage/sharedLane.ts';
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
  readonly #toMove = new Map<Line, Parting>();
  readonly #toReturn = new Map<Line, readonly string[]>();

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
    this.#toMove.set(line, parting);
    const left = this.#ledger
      .exclusively(() => this.#moveOut())
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

  /** All that are to leave by now, together: what gathers while this batch is being written goes with the next write. */
  async #moveOut(): Promise<void> {
    const moving = [...this.#toMove].map(([line, parting]) => ({ line, parting, part: randomUUID() }));
    this.#toMove.clear();
    if (moving.length === 0) return;
    for (const { line, parting } of moving)
      for (const success of this.#ledger.takeOf(line.name)) noteSuccess(parting, success);
    const { pool } = this.#dependencies;
    const leavers = () =>
      moving.map(({ line: { name, underWay }, parting, part }) => ({
        destination: name,
        part,
        kept: [...parting.seqs, ...underWay.keys()],
      }));
    const parted = await persist(() => partOff(pool, this.#batch, leavers()), this.#ledger.patience);
    if (parted === undefined) return this.#ledger.fence();
    const byPart = new Map(parted.map((each) => [each.part, each]));
    for (const { line, parting, part } of moving) {
      const { workflowId, returned } = byPart.get(part) as Parted;
      line.returned(returned);
      const run = { batchId: part, run: 1, lane: line.name };
      // Whoever fences it fences nothing else.
      const ledger = new Ledger(this.#dependencies, run, new AbortController(), line.reachable);
      parting.open({ run, workflowId, ledger });
    }
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
    this.#toReturn.set(line, [...(this.#toReturn.get(line) ?? []), ...seqs]);
    return this.#ledger.exclusively(async () => {
      const returning = [...this.#toReturn];
      this.#toReturn.clear();
      if (returning.length === 0) return;
      const all = returning.flatMap(([, some]) => some);
      if (!(await persist(() => handBack(pool, this.#batch, all), this.#ledger.patience)))
        return this.#ledger.fence();
      for (const [returned, some] of returning) {
        for (const seq of some) returned.held.delete(seq);
        onReturned(returned.name);
      }
    });
  }

  /** This process lacks what it takes to send these. */
  leaveToOthers(line: Line, seqs: readonly string[]): Promise<void> {
    const { pool } = this.#dependencies;
    const { patience } = this.#ledger;
    return this.#ledger.exclusively(async () => {
      const run = { batchId: randomUUID(), run: 1 };
      const leaver = { destination: line.name, part: run.batchId, kept: seqs };
      const parted = await persist(() => partOff(pool, this.#batch, [leaver]), patience);
      if (parted === undefined) return this.#ledger.fence();
      for (const { returned } of parted) line.returned(returned);
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
