import { setTimeout as sleep } from 'node:timers/promises';
import { isOfServer, isSequenceBehind, mayBeAboutRow } from '../src/storage/errors.ts';
import type { Unwritten } from './unwritten.ts';

const firstDelayMs = 50;
const maximumDelayMs = 2_000;
/** An error that may be about a row is believed when it came so often: a trigger may be put right meanwhile. */
const believedAfter = 3;

export interface Patience {
  /** Ends the trying: fenced, or the process leaves. */
  readonly signal: AbortSignal;
  /** Where waiting is told. */
  readonly unwritten?: Unwritten;
  /** Outcomes that the write holds. Default 0: nothing that anybody answered. */
  readonly count?: number;
}

/**
 * Does what PostgreSQL has to take, and keeps trying as long as it does not, whatever it says: giving up would send messages again that
 * were answered. Ends when `signal` aborts, on an error that is not PostgreSQL's, and on one that may be about what is
 * written (see {@link mayBeAboutRow}) and stays: then the caller parts what it has.
 */
export async function persist<T>(
  write: () => Promise<T>,
  { signal, unwritten, count = 0 }: Patience,
  believed = believedAfter,
): Promise<T> {
  const waiting = unwritten?.wait(count);
  let isWritten = false;
  let aboutRow = 0;
  try {
    for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, maximumDelayMs)) {
      try {
        const written = await write();
        isWritten = true;
        return written;
      } catch (error) {
        if (mayBeAboutRow(error) ? ++aboutRow >= believed : !isOfServer(error)) throw error;
        if (signal.aborted) throw error;
        waiting?.failed(error);
        if (isSequenceBehind(error)) delayMs = firstDelayMs;
        await sleep(delayMs, undefined, { signal }).catch(() => undefined);
      }
    }
  } finally {
    waiting?.over(isWritten);
  }
}

/** As {@link persist}, for what cannot be parted any more: not even an error about the row ends it. */
export async function persistAnyhow<T>(write: () => Promise<T>, patience: Patience): Promise<T> {
  for (;;) {
    try {
      return await persist(write, patience);
    } catch (error) {
      if (patience.signal.aborted || !mayBeAboutRow(error)) throw error;
      const waiting = patience.unwritten?.wait(patience.count ?? 0);
      waiting?.failed(error);
      await sleep(maximumDelayMs, undefined, { signal: patience.signal }).catch(() => undefined);
      waiting?.over(false);
    }
  }
}

/** A row that PostgreSQL refuses, alone too. */
export interface Refused<Row> {
  readonly row: Row;
  readonly error: unknown;
  /** When it was refused last, performance.now(). */
  readonly at: number;
}

/**
 * Writes all rows with one statement, or, where PostgreSQL takes exception to one of them, in halves until that one stands alone; what is to
 * become of those `refused` decides, when the others were tried. `since`: when they were first refused. Answers false as soon as one write does (fenced).
 */
export async function persistApart<Row>(
  rows: readonly Row[],
  write: (rows: readonly Row[]) => Promise<boolean>,
  refused: (rows: readonly Refused<Row>[], since: number) => Promise<boolean>,
  patience: Patience,
): Promise<boolean> {
  const apart: Refused<Row>[] = [];
  let since: number | undefined;
  const take = async (some: readonly Row[]): Promise<boolean> => {
    try {
      // Tried again as a whole only.
      const tries = since === undefined ? believedAfter : 1;
      return await persist(() => write(some), { ...patience, count: some.length }, tries);
    } catch (error) {
      if (!mayBeAboutRow(error) || patience.signal.aborted) throw error;
      const at = performance.now();
      since ??= at;
      const [row] = some;
      if (row === undefined) return true;
      if (some.length === 1) return apart.push({ row, error, at }) > 0;
      const middle = Math.ceil(some.length / 2);
      return (await take(some.slice(0, middle))) && (await take(some.slice(middle)));
    }
  };
  if (!(await take(rows))) return false;
  return since === undefined || apart.length === 0 || refused(apart, since);
}
