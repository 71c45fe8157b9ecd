/** A process's share of a destination's concurrency, which holds over all processes. */
export interface Share {
  /**
   * Counts one request more, if one may begin. If not, `ready` is called once when another may; `waiting` says how many would
   * like to.
   */
  begin(waiting: number, ready: () => void): boolean;
  /** A request that was counted is over. */
  end(): void;
}

/** Bounded by the sender's own connections alone. */
export const wholeShare: Share = { begin: () => true, end: () => undefined };
