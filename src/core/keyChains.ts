/**
 * Keeps rows of one key one after another while other keys go side by side. Rows are admitted in order; of each key one
 * is under way at a time, and a failure ends its key: nothing behind it may go. Pure bookkeeping; the caller sends.
 */
export class KeyChains<Row> {
  /** Keys with a row under way, and the rows behind it; null once a row of it failed. */
  readonly #behind = new Map<string, Row[] | null>();
  #waiting = 0;

  /** Rows held back behind others. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Whether the row is to begin now. If not, {@link settled} hands it out when its turn comes, or never. */
  admit(key: string, row: Row): boolean {
    const behind = this.#behind.get(key);
    if (behind === undefined) {
      this.#behind.set(key, []);
      return true;
    }
    if (behind !== null) this.#waiting = this.#waiting - behind.length + behind.push(row);
    return false;
  }

  /** The row of this key that was under way is over; answers the next one to begin. */
  settled(key: string, acknowledged: boolean): Row | undefined {
    const behind = this.#behind.get(key) ?? [];
    if (!acknowledged) {
      this.#waiting -= behind.length;
      this.#behind.set(key, null);
      return undefined;
    }
    const next = behind.shift();
    if (next === undefined) this.#behind.delete(key);
    else this.#waiting--;
    return next;
  }
}
