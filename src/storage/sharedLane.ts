import { loadedColumns, type BatchRun, type Chunk, type DeliveryRow } from './attempts.ts';
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
    `select batch_id as "batchId", workflow_id as "workflowId", size, closed, seen, more, config_revision as "configRevision", seqs, own,
            ${loadedColumns}
     from outbox.claim_shared_loaded($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
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

/** Lanes with work that may be claimed, searched from the beginning. */
export async function lanesWithWork(db: Queryable): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(db, 'select outbox.lanes_with_work() as name');
  return rows.map(({ name }) => name);
}

/** A destination that leaves a shared batch. */
export interface Leaver {
  readonly destination: string;
  /** The id of its own batch. */
  readonly part: string;
  /** Rows that go there; its others go back to their lane. */
  readonly kept: readonly string[];
}

export interface Parted {
  readonly part: string;
  /** Of the batch of its own, which is in its first run. */
  readonly workflowId: string;
  /** Rows that went back to their lane. */
  readonly returned: readonly string[];
}

/**
 * Takes destinations' rows out of a shared batch, all in one transaction: where hundreds die at one moment, one for each held the batch's row so much of the
 * time that nothing else of it was claimed or acknowledged. May be repeated. Undefined when fenced.
 */
export async function partOff(
  db: Queryable,
  run: BatchRun,
  leavers: readonly Leaver[],
): Promise<readonly Parted[] | undefined> {
  const parted = await rowsOf<Parted>(
    db,
    `select l.part, p.workflow_id as "workflowId", p.returned::text[]
     from jsonb_to_recordset($3::jsonb) as l(destination text, part uuid, kept bigint[])
     cross join lateral outbox.part_off($1, $2, l.destination, l.part, l.kept) p`,
    [run.batchId, run.run, JSON.stringify(leavers)],
  );
  return parted.length === leavers.length ? parted : undefined;
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

/**
 * Of batches that were made for failed deliveries and whose workflows were not started yet, those of destinations whose circuit is not closed by now: their
 * rows go back to their lanes, as what fails when a circuit opens does. Answers their workflows, which are not needed any more.
 */
export async function callOff(db: Queryable, workflowIds: readonly string[]): Promise<string[]> {
  const rows = await rowsOf<{ workflowId: string }>(
    db,
    `select w.workflow_id as "workflowId"
     from (select b.workflow_id, outbox.return_rows(b.id, b.run, '[]', null) as summary
           from outbox.batches b join outbox.circuits c on c.destination = b.lane and c.state <> 'closed'
           where b.workflow_id = any ($1) and b.single and b.run = 0 offset 0) w
     where (w.summary ->> 'left')::integer = 0`,
    [workflowIds],
  );
  return rows.map(({ workflowId }) => workflowId);
}

/** Says that this worker can attempt batches that mix destinations. */
export async function knowMixed(db: Queryable, workerId: string): Promise<void> {
  await db.query('select outbox.know_mixed($1)', [workerId]);
}
