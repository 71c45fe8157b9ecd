import { setTimeout as sleep } from 'node:timers/promises';

const pauseMsMax = 5_000;

/**
 * Keeps something open that breaks: a connection and what is taken through it. It is opened again after a pause, longer each time, until
 * `close`.
 */
export class Held<Thing> {
  readonly #open: (lost: (error?: unknown) => void) => Promise<Thing>;
  readonly #end: (thing: Thing) => Promise<unknown>;
  readonly #trouble: (error: unknown) => void;
  readonly #closing = new AbortController();
  #thing: Thing | undefined;
  #loop: Promise<void> | undefined;

  /**
   * @param open makes it; what it is given is to be called when it broke, any number of times
   * @param trouble is told of each failure to open it, and of each break
   */
  constructor(
    open: (lost: (error?: unknown) => void) => Promise<Thing>,
    end: (thing: Thing) => Promise<unknown>,
    trouble: (error: unknown) => void,
  ) {
    this.#open = open;
    this.#end = end;
    this.#trouble = trouble;
  }

  /** What is open; undefined while nothing is. */
  get now(): Thing | undefined {
    return this.#thing;
  }

  /** Resolves when it was open for the first time, or is closed. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#loop = this.#keep(resolve).finally(resolve);
    });
  }

  /** Resolves when it is no more. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
  }

  async #keep(opened: () => void): Promise<void> {
    const { signal } = this.#closing;
    const closing = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    for (let pauseMs = 100; !signal.aborted;) {
      try {
        let broke: (error?: unknown) => void = () => undefined;
        const broken = new Promise<unknown>((resolve) => (broke = resolve));
        const thing = await this.#open(broke);
        this.#thing = thing;
        pauseMs = 100;
        opened();
        const why = await Promise.race([broken, closing]);
        this.#thing = undefined;
        await this.#end(thing).catch(() => undefined);
        if (signal.aborted) return;
        this.#trouble(why ?? new Error('the connection closed'));
      } catch (error) {
        this.#trouble(error);
      }
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, pauseMsMax);
    }
  }
}
