import type { Log } from '../../activities/index.ts';
import { isOutboxError } from '../errors.ts';

/**
 * Whether the Temporal store that answers is the one that the rows belong to. An address can come to mean another server while we run, or
 * the server lose its data: a relay then keeps its hands off, and goes on by itself when the two fit again.
 */
export class Binding {
  readonly #verify: () => Promise<void>;
  readonly #log: Log;
  #broken = false;

  constructor(verify: () => Promise<void>, log: Log) {
    this.#verify = verify;
    this.#log = log;
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** A server that does not answer says nothing: what was so stays so. */
  async check(): Promise<void> {
    try {
      await this.#verify();
      if (this.#broken)
        this.#log.info({}, 'the database and Temporal belong together again: claiming goes on');
      this.#broken = false;
    } catch (error) {
      if (!isOutboxError(error) || error.code !== 'OUTBOX_TEMPORAL_MISMATCH') throw error;
      if (!this.#broken) this.#log.error({ error: error.message, hint: error.hint }, 'claiming nothing more');
      this.#broken = true;
    }
  }
}
