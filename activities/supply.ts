import { chunk, giveBack, loadRows, type DeliveryRow, type OpenedBatch } from '../src/storage/attempts.ts';
import type { Limits } from './deliverRows.ts';
import type { ActivityDependencies, Intake } from './dependencies.ts';
import type { Ledger } from './ledger.ts';
import { persist } from './persist.ts';

const none: readonly DeliveryRow[] = [];

/** Where the rows of an attempt come from: those that its batch held from the beginning, then those that join it. */
export class Supply {
  readonly #dependencies: ActivityDependencies;
  readonly #batch: OpenedBatch;
  readonly #ledger: Ledger;
  readonly #limits: Limits;
  readonly #leave = (): void => this.#intake?.leave();
  #intake: Intake | undefined;

  constructor(dependencies: ActivityDependencies, batch: OpenedBatch, ledger: Ledger, limits: Limits) {
    this.#dependencies = dependencies;
    this.#batch = batch;
    this.#ledger = ledger;
    this.#limits = limits;
  }

  /** Whether rows may join the batch. */
  get isOpen(): boolean {
    return this.#intake !== undefined;
  }

  /** The next of those that it held from the beginning; none when `rows` were the last ones, or joined it. */
  prefetch(rows: readonly DeliveryRow[]): Promise<readonly DeliveryRow[]> {
    if (this.#intake !== undefined || !mayHaveMore(rows)) return Promise.resolve(none);
    const { seq } = rows.at(-1) as DeliveryRow;
    const { pool } = this.#dependencies;
    const loading = persist(() => loadRows(pool, this.#batch.batchId, seq, chunk), this.#limits);
    // A failing prefetch is met where it is awaited; until then it must not count as unhandled.
    loading.catch(() => undefined);
    return loading;
  }

  /** Those that joined it; none when nothing more comes. The first failure closes the door: what it means is judged at the end. */
  async joining(isBusy: () => boolean): Promise<readonly DeliveryRow[]> {
    if (this.#limits.takesIn !== true) return none;
    if (this.#intake === undefined) {
      if (this.#ledger.failures.length > 0) return none;
      this.#intake = this.#dependencies.openIntake(this.#batch);
      this.#ledger.onFailure = () => this.#intake?.close();
      this.#limits.signal.addEventListener('abort', this.#leave, { once: true });
      this.#dependencies.leaving.asked.addEventListener('abort', this.#leave, { once: true });
    }
    return this.#intake.next(isBusy);
  }

  /**
   * Time is up: what is not begun goes back to its lane, where another batch takes it at once. With this one it would wait until the slowest of
   * what is under way is answered.
   */
  async returnRest(underWay: ReadonlySet<string>): Promise<void> {
    const { pool, onReturned } = this.#dependencies;
    await this.#ledger.exclusively(async () => {
      const begun = [...underWay, ...this.#ledger.unwritten];
      const given = await persist(() => giveBack(pool, this.#batch, begun), this.#limits);
      if (given !== null && given > 0) onReturned(this.#batch.lane);
    });
  }

  end(): void {
    this.#intake?.leave();
    this.#limits.signal.removeEventListener('abort', this.#leave);
    this.#dependencies.leaving.asked.removeEventListener('abort', this.#leave);
  }
}

/** A chunk is short because the batch ended, or because its payloads filled it; only the first needs no further query. */
export function mayHaveMore(rows: readonly DeliveryRow[]): boolean {
  if (rows.length === chunk.rows) return true;
  // UTF-8 takes at most three bytes for a UTF-16 unit. An event that is gone has no payload.
  const bytes = rows.reduce(
    (sum, { payload, payloadBytes }) => sum + (payloadBytes?.length ?? (payload?.length ?? 0) * 3),
    0,
  );
  return bytes >= chunk.bytes;
}
