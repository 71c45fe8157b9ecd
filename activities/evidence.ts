/** How long one row may be refused, with no other to compare it with, before that is taken to be about the row. */
const aloneMs = 30_000;

/**
 * Whether a refusal of PostgreSQL is about a row or about everything: a trigger of somebody's, or a constraint, that refuses what every
 * outcome of a kind writes says the same for each of them. Only where others are taken meanwhile the row is to blame. Of one process.
 */
export class Evidence {
  readonly #takenAt = new Map<string, number>();
  readonly #suspects = new Map<string, number>();

  /** An outcome of this kind was written. */
  taken(kind: string): void {
    this.#takenAt.set(kind, performance.now());
  }

  /** `count` rows stand alone; to be ended. `since`: when they were first refused, with others (performance.now()). */
  suspect(kind: string, count: number, since: number): Suspicion {
    this.#add(kind, count);
    return {
      isAboutRow: (refusedAt) => {
        const takenAt = this.#takenAt.get(kind) ?? -Infinity;
        if (takenAt > since) return refusedAt > takenAt;
        return this.#suspects.get(kind) === 1 && refusedAt - since > aloneMs;
      },
      mayTell: () => (this.#takenAt.get(kind) ?? -Infinity) > since,
      end: () => this.#add(kind, -count),
    };
  }

  #add(kind: string, count: number): void {
    this.#suspects.set(kind, (this.#suspects.get(kind) ?? 0) + count);
  }
}

export interface Suspicion {
  /** Whether it is the row's own, that was refused last at this moment. */
  isAboutRow(refusedAt: number): boolean;
  /** Another was taken since: the next try tells. */
  mayTell(): boolean;
  end(): void;
}
