import { inShort } from '../src/storage/errors.ts';
import type { Log } from './dependencies.ts';

/** How long a write may take before it is spoken of. */
const quietMs = 1_000;
const sayAgainMs = 30_000;

/** What has been answered and waits to be written, of this process. */
export interface UnwrittenStanding {
  /** Outcomes of deliveries. */
  readonly outcomes: number;
  /** Since the first of the writes that wait failed, milliseconds. */
  readonly waitedMs: number;
  /** What PostgreSQL said last. */
  readonly says: string;
}

export interface Waiting {
  failed(error: unknown): void;
  over(isWritten: boolean): void;
}

interface Write {
  readonly count: number;
  readonly since: number;
  /** Null while PostgreSQL has not answered. */
  says: string | null;
}

/** Knows the writes of this process that PostgreSQL does not take for now, and says so: in the log, and to whoever asks. */
export class Unwritten {
  readonly #writes = new Set<Write>();
  readonly #log: Log;
  #saidAt: number | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** `count` outcomes are about to be written. */
  wait(count: number): Waiting {
    const write: Write = { count, since: performance.now(), says: null };
    this.#writes.add(write);
    return {
      failed: (error) => {
        write.says = inShort(error);
        this.look();
      },
      over: (isWritten) => {
        this.#writes.delete(write);
        if (this.#saidAt === undefined || this.standing() !== undefined) return;
        this.#saidAt = undefined;
        if (isWritten) this.#log.info({}, 'outcomes that waited for PostgreSQL are written');
      },
    };
  }

  /** Undefined when nothing waits for longer than a moment. */
  standing(): UnwrittenStanding | undefined {
    const now = performance.now();
    const late = [...this.#writes].filter(({ count, since }) => count > 0 && now - since >= quietMs);
    if (late.length === 0) return undefined;
    const outcomes = late.reduce((sum, { count }) => sum + count, 0);
    const waitedMs = now - Math.min(...late.map(({ since }) => since));
    const says = late.findLast(({ says }) => says !== null)?.says ?? noAnswer;
    return { outcomes, waitedMs, says };
  }

  /** Says how it stands, where that is worth a line, and answers it. To be called every now and then: a write may hang. */
  look(): UnwrittenStanding | undefined {
    const standing = this.standing();
    if (standing === undefined) return undefined;
    if (this.#saidAt !== undefined && performance.now() - this.#saidAt < sayAgainMs) return standing;
    this.#saidAt = performance.now();
    const { outcomes, waitedMs, says: error } = standing;
    this.#log.warn(
      { outcomes, waitedMs: Math.round(waitedMs), error },
      'PostgreSQL does not take what was answered: kept here and tried again, nothing is sent twice',
    );
    return standing;
  }
}

const noAnswer = 'PostgreSQL has not answered yet: somebody holds a lock, or it is slow';
