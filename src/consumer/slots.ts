/** Who may be at work: so many at once, or one alone. First come, first served, so that nobody who asks for all waits for ever. */
export class Slots {
  readonly #count: number;
  #free: number;
  readonly #waiting: { readonly need: number; readonly grant: () => void }[] = [];

  constructor(count: number) {
    this.#count = count;
    this.#free = count;
  }

  /** Resolves with what gives the slot back; calling that twice gives one back. */
  enter(): Promise<() => void> {
    return this.#ask(1);
  }

  /** With nobody else at work. */
  enterAlone(): Promise<() => void> {
    return this.#ask(this.#count);
  }

  #ask(need: number): Promise<() => void> {
    return new Promise((resolve) => {
      const grant = (): void => {
        this.#free -= need;
        let left = false;
        resolve(() => {
          if (left) return;
          left = true;
          this.#free += need;
          this.#next();
        });
      };
      this.#waiting.push({ need, grant });
      this.#next();
    });
  }

  #next(): void {
    for (
      let first = this.#waiting[0];
      first !== undefined && first.need <= this.#free;
      first = this.#waiting[0]
    ) {
      this.#waiting.shift();
      first.grant();
    }
  }
}

/** Work under one name goes one after another, in the order in which it came. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    const mine = before === undefined ? work() : before.then(work, work);
    this.#last.set(name, mine);
    const leave = (): void => {
      if (this.#last.get(name) === mine) this.#last.delete(name);
    };
    mine.then(leave, leave);
    return mine;
  }
}
