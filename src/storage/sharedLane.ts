import { rowColumns, type BatchRun, type Chunk, type DeliveryRow } from './attempts.ts';
import type { ClaimedBatch, Joinable, Joined } from './claims.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';
import { sharedLane } from '../core/sharedLane.ts';

/** What is asked for the shared lane. */
export interface SharedAsk {
  /** A hint where to look first, as at outbox.claim. */
  readonly after: string;
  /** Lanes to look at from their beginning, in place of the hint. */
  readonly among: readonly string[] | null;
  /** False: only which lanes have work. */
  readonly share: boolean;
  /** Lanes with batches of their own. */
  readonly own: readonly string[];
  /** Lanes to be left alone for the moment. */
  readonly aside: readonly string[];
  readonly into: Joinable | null;
  /** As of {@link Ask}. */
  readonly limit: number | null;
}

export interface SharedClaim {
  readonly batch: ClaimedBatch | null;
  readonly joined: Joined | null;
  /** The largest seq that was looked at; null where there was none. */
  readonly seen: string | null;
  /** There is more behind it. */
  readonly more: boolean;
  /** Lanes with work that have batches of their own. */
  readonly own: readonly string[];
}

interface SharedRow extends Omit<DeliveryRow, 'seq'> {
  readonly batchId: string | null;
  readonly workflowId: string | null;
  readonly size: number;
  readonly closed: boolean;
  readonly seen: string | null;
  readonly more: boolean;
  readonly own: readonly string[] | null;
  readonly configRevision: number;
  /** With the first row of a batch. */
  readonly seqs: readonly string[] | null;
  /** Null where no row was loaded. */
  readonly seq: string | null;
}

/** Claims for the shared lane, opens a new batch's first run and loads its first rows, in one round trip. */
export async function claimShared(
  db: Queryable,
  relayId: string,
  ask: SharedAsk,
  { rows: limit, bytes }: Chunk,
): Promise<SharedClaim> {
  const { after, among, share, own, aside, into } = ask;
  const rows = await rowsOf<SharedRow>(
    db,
    `select c.batch_id as "batchId", c.workflow_id as "workflowId", c.size, c.closed, c.seen::text, c.more,
            c.config_revision as "configRevision", ${once('c.seqs::text[]')} as seqs, ${once('c.own')} as own, ${rowColumns}
     from outbox.claim_shared($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) c
     left join lateral outbox.load_claimed(c.batch_id, c.seqs, $11, $12) r on c.size > 0
     order by r.seq`,
    [
      relayId,
      after,
      among,
      share,
      own,
      aside,
      into?.batchId ?? null,
      into?.run ?? null,
      into?.configRevision ?? null,
      ask.limit,
      limit,
      bytes,
    ],
  );
  const [first] = rows;
  if (first === undefined) throw new Error('outbox.claim_shared answered no row');
  const { batchId, workflowId, size, closed, seen, more, configRevision } = first;
  const looked = { seen, more, own: first.own ?? [] };
  if (batchId === null) return { ...looked, batch: null, joined: null };
  const loaded = first.seq === null ? [] : (rows as readonly (SharedRow & DeliveryRow)[]);
  const lastSeq = first.seqs?.at(-1) ?? null;
  if (batchId === into?.batchId) {
    const rest = (first.seqs ?? []).slice(loaded.length);
    return {
      ...looked,
      batch: null,
      joined: { lane: sharedLane, batchId, rows: loaded, rest, lastSeq, closed },
    };
  }
  const batch = {
    batchId,
    run: 1,
    lane: sharedLane,
    fruitless: 0,
    configRevision,
    held: false,
    suspect: false,
  };
  const claimed = { lane: sharedLane, batchId, workflowId: workflowId ?? '', size, lastSeq, slow: 0 };
  return { ...looked, joined: null, batch: { ...claimed, opened: { batch, rows: loaded } } };
}

/** With the first row alone. */
const once = (column: string): string => `case when r.seq is null or r.seq = c.seqs[1] then ${column} end`;

/** Lanes with work that may be claimed, searched from the beginning. */
export async function lanesWithWork(db: Queryable): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(db, 'select outbox.lanes_with_work() as name');
  return rows.map(({ name }) => name);
}

export interface Parted {
  /** Of the batch of its own, which is in its first run. */
  readonly workflowId: string;
  /** Rows that went back to their lane. */
  readonly returned: readonly string[];
}

/**
 * Takes a destination's rows out of a shared batch: `kept` go to a batch of its own, of the id `part`, the others back to its lane. May be
 * repeated. Undefined when fenced.
 */
export async function partOff(
  db: Queryable,
  run: BatchRun,
  destination: string,
  part: string,
  kept: readonly string[],
): Promise<Parted | undefined> {
  return firstOf<Parted>(
    db,
    `select workflow_id as "workflowId", returned::text[] from outbox.part_off($1, $2, $3, $4, $5::bigint[])`,
    [run.batchId, run.run, destination, part, kept],
  );
}

/** Rows that came too late go back to their lanes. Answers false when fenced. */
export async function handBack(db: Queryable, run: BatchRun, seqs: readonly string[]): Promise<boolean> {
  const row = await firstOf<{ ok: boolean }>(db, 'select outbox.hand_back($1, $2, $3::bigint[]) as ok', [
    run.batchId,
    run.run,
    seqs,
  ]);
  return row?.ok === true;
}

/** Says that this worker can attempt batches that mix destinations. */
export async function knowMixed(db: Queryable, workerId: string): Promise<void> {
  await db.query('select outbox.know_mixed($1)', [workerId]);
}
