/**
 * Markers: a small table in the producer's own database that says of each half message whether the local transaction committed.
 * The transaction inserts `committed`, a check-back inserts `rolled-back`, both under the message's id, which is unique: whichever
 * commits first is the answer, and the other one fails. So an answer, once given, stays true.
 */
import type { CheckBackAnswer } from '../core/producer.ts';
import { OutboxError } from '../errors.ts';

/** How a local transaction ended. */
export type LocalOutcome<T> =
  | { readonly end: 'committed'; readonly value: T }
  /** For certain, and for good: a late commit cannot come. */
  | { readonly end: 'rolled-back'; readonly error: unknown }
  /** The connection broke at COMMIT, or nearly: only the marker knows, once the server has settled the transaction. */
  | { readonly end: 'unknown'; readonly error: unknown };

/** Made by postgresMarkers or mysqlMarkers. `Connection` is what your own statements run on. */
export interface Markers<Connection> {
  /** Creates the two tables where they are missing. */
  migrate(): Promise<void>;
  /** A transaction that begins with the marker of message `id`. Never rejects. */
  transaction<T>(id: string, work: (connection: Connection) => Promise<T>): Promise<LocalOutcome<T>>;
  /** See answerCheckBack. */
  answer(id: string): Promise<CheckBackAnswer>;
  /**
   * Deletes markers of messages prepared longer ago than `olderThanMs` (default 30 days); answers how many. From then on such a
   * message is `unknown`, never rolled back: a person decides.
   */
  forget(options?: { readonly olderThanMs?: number }): Promise<number>;
}

export interface MarkerOptions {
  /** How long an answer waits for a local transaction still open; `unknown` after it. Default 2,000 ms. */
  readonly lockTimeoutMs?: number;
}

export const defaultLockTimeoutMs = 2_000;
export const defaultMarkerAgeMs = 30 * 24 * 3_600_000;
/** Rows deleted in one statement. */
export const forgetAtOnce = 5_000;

/** Deletes portion after portion; answers how many rows. */
export async function deleteInPortions(deletePortion: () => Promise<number>): Promise<number> {
  for (let deleted = 0; ;) {
    const count = await deletePortion();
    deleted += count;
    if (count < forgetAtOnce) return deleted;
  }
}

/** The smallest UUIDv7 of a moment; ids sort by time. */
export function firstIdAt(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}

/** A marker that may have been forgotten tells nothing by its absence, nor by what a later check-back put in its place. */
export function answerOf(outcome: string | undefined, isForgotten: boolean): CheckBackAnswer {
  if (outcome === 'committed') return 'committed';
  return outcome === 'rolled-back' && !isForgotten ? 'rolled-back' : 'unknown';
}

/** A check-back came first, and its answer is final. */
export function tooLate(id: string, cause: unknown): OutboxError {
  return new OutboxError(
    'OUTBOX_MESSAGE_SETTLED',
    `half message ${id} was decided before this transaction began`,
    {
      cause,
      hint: 'A check-back has answered for it, and nothing was changed. Begin again with a new message.',
    },
  );
}
