/** What delivers for one of several databases: it is begun, and begun again whenever it ends by a fault. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../activities/index.ts';
import { isOutboxError } from '../errors.ts';
import type { Watched } from '../observing.ts';
import type { Running } from '../run.ts';

/** The wait after a fault doubles; whoever ran well for the longest of them starts over. */
const againMs = { first: 1_000, maximum: 60_000 };

export class Member {
  /** As people know it, without user and password: `db.example:5432/orders`. */
  readonly database: string;
  readonly #start: (watchedBy: (watched: Watched) => void) => Promise<Running>;
  readonly #log: Log;
  readonly #stopping = new AbortController();
  #running: Running | undefined;
  #watched: Watched | undefined;
  #trouble: string | undefined;
  #life: Promise<void> | undefined;

  constructor(
    database: string,
    start: (watchedBy: (watched: Watched) => void) => Promise<Running>,
    log: Log,
  ) {
    this.database = database;
    this.#start = start;
    this.#log = log;
  }

  /** Undefined while nothing delivers for it. */
  get watched(): Watched | undefined {
    return this.#running === undefined ? undefined : this.#watched;
  }

  /** Why nothing delivers for it, in one line. */
  get trouble(): string {
    return this.#trouble ?? 'it is being started';
  }

  /** Resolves when it delivers; rejects with what kept its first start from that. It is tried again either way. */
  begin(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#life ??= this.#live(resolve, reject);
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running?.stop();
    await this.#life;
  }

  async #live(onStarted: () => void, onFailed: (error: unknown) => void): Promise<void> {
    const { signal } = this.#stopping;
    for (let delayMs = againMs.first; !signal.aborted; delayMs = Math.min(delayMs * 2, againMs.maximum)) {
      const begunAt = performance.now();
      try {
        this.#running = await this.#start((watched) => (this.#watched = watched));
        onStarted();
        if (!signal.aborted) await this.#running.finished;
      } catch (error) {
        this.#trouble = error instanceof Error ? error.message : String(error);
        onFailed(error);
        this.#tell(error, delayMs);
      }
      await this.#end();
      if (performance.now() - begunAt > againMs.maximum) delayMs = againMs.first;
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #end(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running
      ?.stop()
      .catch((error: unknown) => this.#log.warn({ error: String(error) }, 'not stopped in order'));
  }

  #tell(error: unknown, againInMs: number): void {
    const { code, hint } = isOutboxError(error) ? error : { code: undefined, hint: undefined };
    this.#log.error(
      { code, error: this.trouble, hint, againInMs },
      'nothing is delivered for this database; the others go on, and this one is tried again',
    );
  }
}
