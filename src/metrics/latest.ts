import { setTimeout as sleep } from 'node:timers/promises';

export interface LatestOptions {
  /** A value is taken as it is while younger. */
  readonly freshMs: number;
  /** It is read again only after this many times as long as reading it took: a read of 0.2 s, at 100, every 20 s. Default 0. */
  readonly restFactor?: number;
  /** What a caller waits for a new one; then the one before has to do. */
  readonly patienceMs: number;
  /** A value older than this is none. */
  readonly staleMs: number;
}

/** `begin` says that the waiting for a turn is over and the work begins: only that is what `restFactor` looks at. */
export type Read<T> = (begin: () => void) => Promise<T>;

/** The latest of what is read now and then, one read at a time however many ask. */
export class Latest<T> {
  readonly #read: Read<T>;
  readonly #options: LatestOptions;
  #value: T | undefined;
  #readAt = -Infinity;
  #notBefore = -Infinity;
  #reading: Promise<void> | undefined;
  /** What the last read failed with; undefined once one succeeded. */
  error: unknown;

  constructor(read: Read<T>, options: LatestOptions) {
    this.#read = read;
    this.#options = options;
  }

  /** Never throws; undefined when there is none that is recent enough. */
  async get(): Promise<T | undefined> {
    const { patienceMs, staleMs } = this.#options;
    if (performance.now() >= this.#notBefore) this.#reading ??= this.#refresh();
    if (this.#reading !== undefined)
      await Promise.race([this.#reading, sleep(patienceMs, undefined, { ref: false })]);
    return performance.now() - this.#readAt < staleMs ? this.#value : undefined;
  }

  async #refresh(): Promise<void> {
    const { freshMs, restFactor = 0 } = this.#options;
    let began = performance.now();
    try {
      this.#value = await this.#read(() => (began = performance.now()));
      this.#readAt = performance.now();
      this.error = undefined;
    } catch (error) {
      this.error = error;
    }
    const now = performance.now();
    this.#notBefore = now + Math.max(freshMs, (now - began) * restFactor);
    this.#reading = undefined;
  }
}
