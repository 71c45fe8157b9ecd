/** One thing for all who ask: opened for the first of them, and again after it could not be opened or was forgotten. */
export class OnDemand<Thing> {
  readonly #open: () => Promise<Thing>;
  #opened: Promise<Thing> | undefined;

  constructor(open: () => Promise<Thing>) {
    this.#open = open;
  }

  get(): Promise<Thing> {
    this.#opened ??= this.#open().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  /** It is gone: the next who asks opens another. */
  forget(): void {
    this.#opened = undefined;
  }

  /** Ends it where it was opened. */
  async close(end: (thing: Thing) => unknown): Promise<void> {
    const thing = await this.#opened?.catch(() => undefined);
    this.#opened = undefined;
    if (thing !== undefined) await end(thing);
  }
}
