/** Whether the consumer's database, with its inbox, is there. While it is not, nothing is taken and nobody is charged. */
import { setTimeout as sleep } from 'node:timers/promises';
import { missingInbox } from '../inbox/migrate.ts';
import { rowsOf } from '../produce/client.ts';
import { driverErrorOf } from '../storage/driverError.ts';
import type { ReceiverClient, ReceiverPool } from '../receiver/transaction.ts';

export interface DatabaseWatch {
  readonly away: (error: unknown) => void;
  readonly back: () => void;
}

const pauseMsMax = 2_000;
/** In a row, of one statement, with the database there. */
const cutsMax = 20;

export class Database<Client extends ReceiverClient> {
  readonly pool: ReceiverPool<Client>;
  readonly #watch: DatabaseWatch;
  readonly #stopping: AbortSignal;
  #back: Promise<void> | undefined;

  constructor(pool: ReceiverPool<Client>, watch: DatabaseWatch, stopping: AbortSignal) {
    this.pool = pool;
    this.#watch = watch;
    this.#stopping = stopping;
  }

  /** Resolves when it is there, as far as is known, or the consumer stops. */
  async available(): Promise<void> {
    await this.#back;
  }

  get isAway(): boolean {
    return this.#back !== undefined;
  }

  /** After an error that may have been the database's: whether it is there. If it is not, {@link available} waits until it is again. */
  async isThere(error: unknown): Promise<boolean> {
    if (this.#back !== undefined) return false;
    if (await this.#answers()) return true;
    this.#back ??= this.#untilBack(error);
    return false;
  }

  /**
   * One statement. It is tried until the database takes it, or the consumer stops: then it throws. A connection that was cut, also one
   * that the pool still had from before an outage, is no answer of the database's.
   */
  async insist<T>(text: string, values: unknown[]): Promise<T | undefined> {
    for (let cuts = 0; ;) {
      await this.available();
      try {
        return (await this.ask<T>(text, values))[0];
      } catch (error) {
        if (this.#stopping.aborted) throw error;
        if (!(await this.isThere(error))) continue;
        if (!wasCut(error) || ++cuts > cutsMax) throw error;
      }
    }
  }

  /** One statement, once; answers its rows. */
  async ask<T>(text: string, values: unknown[]): Promise<T[]> {
    const client = await this.pool.connect();
    const ignore = (): void => undefined;
    client.on('error', ignore);
    let broken = true;
    try {
      const rows = rowsOf<T>(await client.query(text, values));
      broken = false;
      return rows;
    } catch (error) {
      broken = wasCut(error);
      throw error;
    } finally {
      client.off('error', ignore);
      client.release(broken);
    }
  }

  async #answers(): Promise<boolean> {
    try {
      const [row] = await this.ask<{ fit: boolean }>(
        `select to_regclass('outbox_inbox.parked') is not null and not pg_is_in_recovery()
         and current_setting('transaction_read_only') = 'off' as fit`,
        [],
      );
      return row?.fit === true;
    } catch {
      return false;
    }
  }

  async #untilBack(error: unknown): Promise<void> {
    this.#watch.away(error);
    for (let pauseMs = 100; !this.#stopping.aborted; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
      await sleep(pauseMs, undefined, { signal: this.#stopping }).catch(() => undefined);
      if (await this.#answers()) break;
    }
    this.#back = undefined;
    if (!this.#stopping.aborted) this.#watch.back();
  }

  /** @throws OutboxError OUTBOX_SCHEMA_MISSING where there is a database without an inbox of this version */
  async require(): Promise<void> {
    const [row] = await this.ask<{ fit: boolean }>(
      `select to_regclass('outbox_inbox.parked') is not null as fit`,
      [],
    );
    if (row?.fit !== true) throw missingInbox();
  }
}

/** PostgreSQL's own answers leave the connection good, unless they say that it ends it. */
function wasCut(error: unknown): boolean {
  const code = driverErrorOf(error).code ?? '';
  return !/^[0-9A-Z]{5}$/.test(code) || /^(57P|08)/.test(code);
}
