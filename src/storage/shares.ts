import { firstOf, type Queryable } from './connect.ts';

/** What other workers need of a destination that this one holds a share of. */
export interface Wish {
  readonly destination: string;
  /** Of all workers together. */
  readonly concurrency: number;
  /** Slots missing to all of them together. */
  readonly needed: number;
  /** Workers that hold or want slots, this one included. */
  readonly claimants: number;
}

export interface Renewal {
  /** The worker was not heard of for too long: its shares are gone. True at the first heartbeat, too. */
  readonly lost: boolean;
  readonly wishes: readonly Wish[];
}

/** Heartbeat of a worker; its shares last for `ttlMs` after it. */
export async function renewWorker(
  db: Queryable,
  workerId: string,
  label: string,
  ttlMs: number,
): Promise<Renewal> {
  const row = await firstOf<{ renewal: Renewal }>(
    db,
    `select outbox.renew_worker($1, $2, $3 * interval '1 ms') as renewal`,
    [workerId, label, ttlMs],
  );
  if (row === undefined) throw new Error('outbox.renew_worker answered no row');
  return row.renewal;
}

/** Asks for `wanted` slots in all; answers how many the worker holds now. */
export async function takeShare(
  db: Queryable,
  workerId: string,
  destination: string,
  wanted: number,
  ttlMs: number,
): Promise<number> {
  const row = await firstOf<{ slots: number }>(
    db,
    `select outbox.take_share($1, $2, $3, $4 * interval '1 ms') as slots`,
    [workerId, destination, wanted, ttlMs],
  );
  return row?.slots ?? 0;
}

/** Keeps no more than `slots`. */
export async function giveShare(
  db: Queryable,
  workerId: string,
  destination: string,
  slots: number,
): Promise<void> {
  await db.query('select outbox.give_share($1, $2, $3)', [workerId, destination, slots]);
}

export async function leaveWorker(db: Queryable, workerId: string): Promise<void> {
  await db.query('select outbox.leave_worker($1)', [workerId]);
}

/** For other processes to see: what this worker was answered and cannot write; undefined: nothing any more. */
export async function noteUnwritten(
  db: Queryable,
  workerId: string,
  waiting: { readonly outcomes: number; readonly waitedMs: number; readonly says: string } | undefined,
): Promise<void> {
  await db.query(`select outbox.note_unwritten($1, $2, $3 * interval '1 ms', $4)`, [
    workerId,
    waiting?.outcomes ?? 0,
    waiting?.waitedMs ?? 0,
    waiting?.says ?? null,
  ]);
}
