import {
  loadedColumns,
  type Chunk,
  type DeliveryRow,
  type OpenedBatch,
  type OpenedRows,
} from './attempts.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';

export interface ClaimedBatch {
  readonly lane: string;
  readonly batchId: string;
  readonly workflowId: string;
  readonly size: number;
  /** The largest seq in it, as text: int8 does not fit a number. Null for a batch without rows. */
  readonly lastSeq: string | null;
  /** Batches of this lane whose first attempt takes long. */
  readonly slow: number;
  /** Its first run and rows, when they were asked for. */
  readonly opened: OpenedRows | null;
}

export interface HeldLanes {
  /** What this was decided by; null where the next heartbeat is to look again. */
  readonly known: string | null;
  /** Owned until the lease ends; null where nothing changed since `known`. */
  readonly lanes: readonly string[] | null;
}

/** Heartbeat; `known` as the last one answered it, null to look in any case. */
export async function holdLanes(
  db: Queryable,
  relayId: string,
  label: string,
  leaseMs: number,
  unable: readonly string[] = [],
  known: string | null = null,
): Promise<HeldLanes> {
  const row = await firstOf<HeldLanes>(
    db,
    `select known, lanes from outbox.renew_lanes($1, $2, $3 * interval '1 ms', $4, $5)`,
    [relayId, label, leaseMs, unable, known],
  );
  if (row === undefined) throw new Error('outbox.renew_lanes answered no row');
  return row;
}

/**
 * Heartbeat: `hot`, lanes of this relay, are more than its process can send, for `ttlMs` from now. Answers the lanes of others that it may claim
 * for: none where it has no time to `spare`.
 */
export async function shareHot(
  db: Queryable,
  relayId: string,
  hot: readonly string[],
  ttlMs: number,
  spare: boolean,
  unable: readonly string[],
): Promise<readonly string[]> {
  const row = await firstOf<{ lanes: string[] }>(
    db,
    `select outbox.share_hot($1, $2, $3 * interval '1 ms', $4, $5) as lanes`,
    [relayId, hot, ttlMs, spare, unable],
  );
  return row?.lanes ?? [];
}

/** Lanes that keep order per key. */
export async function keyedLanes(db: Queryable): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(
    db,
    `select name from outbox.destinations where ordering = 'key'`,
  );
  return rows.map(({ name }) => name);
}

/** Wakes keys of these lanes that nobody would wake any more; answers how many. */
export async function wakeStranded(db: Queryable, lanes: readonly string[]): Promise<number> {
  const row = await firstOf<{ woken: number }>(db, 'select outbox.wake_stranded($1) as woken', [lanes]);
  return row?.woken ?? 0;
}

export async function leaveLanes(db: Queryable, relayId: string): Promise<void> {
  await db.query('select outbox.leave_lanes($1)', [relayId]);
}

/** What is asked of a lane. */
export interface Ask {
  readonly lane: string;
  /** The hint described at outbox.claim. */
  readonly after: string;
  /** The open batch that rows are to join; null for a new batch. */
  readonly into: Joinable | null;
  /** Rows at most; 0 for a new batch without rows; null for as many as the lane's window allows. */
  readonly limit: number | null;
}

/** An open batch, under the run and the configuration that its attempt began with. */
export type Joinable = Pick<OpenedBatch, 'batchId' | 'run' | 'configRevision'>;

/** Rows that joined an open batch. */
export interface Joined {
  readonly lane: string;
  readonly batchId: string;
  /** The first of them, as many as fit a chunk, and the seqs of the others. */
  readonly rows: readonly DeliveryRow[];
  readonly rest: readonly string[];
  /** The largest seq among them; null when there are none. */
  readonly lastSeq: string | null;
  /** The batch takes in no more. */
  readonly closed: boolean;
}

/** Claims at most one batch per lane. `after` is the hint described at outbox.claim, one entry a lane. */
export async function claimBatches(
  db: Queryable,
  relayId: string,
  lanes: readonly string[],
  after: readonly string[],
  slowAfterMs: number,
): Promise<ClaimedBatch[]> {
  const batches = await rowsOf<Omit<ClaimedBatch, 'opened'>>(
    db,
    `select ${batchColumns} from outbox.claim($1, $2, $3::bigint[], $4 * interval '1 ms') c`,
    [relayId, lanes, after, slowAfterMs],
  );
  return batches.map((batch) => ({ ...batch, opened: null }));
}

/**
 * Claims what is asked, opens each new batch's first run and loads the first of the claimed rows, all in one round trip: for a worker in this
 * very process.
 */
export async function claimRows(
  db: Queryable,
  relayId: string,
  asks: readonly Ask[],
  slowAfterMs: number,
  { rows: limit, bytes }: Chunk,
): Promise<{ readonly batches: readonly ClaimedBatch[]; readonly joined: readonly Joined[] }> {
  const rows = await rowsOf<ClaimRow>(
    db,
    `select ${claimColumns} from outbox.claim_loaded(
       $1, $2, $3::bigint[], $4 * interval '1 ms', true, $5::uuid[], $6::int[], $7::int[], $8::int[], null, $9, $10)`,
    [
      relayId,
      asks.map(({ lane }) => lane),
      asks.map(({ after }) => after),
      slowAfterMs,
      asks.map(({ into }) => into?.batchId ?? null),
      asks.map(({ into }) => into?.run ?? null),
      asks.map(({ into }) => into?.configRevision ?? null),
      asks.map((ask) => ask.limit),
      limit,
      bytes,
    ],
  );
  const open = new Set(asks.map(({ into }) => into?.batchId));
  const batches: ClaimedBatch[] = [];
  const joined: Joined[] = [];
  for (const ofBatch of groupByBatch(rows)) {
    const [{ lane, batchId, workflowId, size, lastSeq, slow, configRevision }] = ofBatch;
    if (open.has(batchId)) joined.push(joinedBy(ofBatch));
    else {
      const batch = { batchId, run: 1, lane, fruitless: 0, configRevision, held: false, suspect: false };
      const opened = { batch, rows: loadedOf(ofBatch) };
      batches.push({ lane, batchId, workflowId, size, lastSeq, slow, opened });
    }
  }
  return { batches, joined };
}

/**
 * Claims rows of its lane into an open batch, for its own attempt in a process that does not own the lane; undefined when there are none.
 * `looksMs`: it will ask again within this time, and the lane's owner is to make no batch meanwhile; null for the last look.
 */
export async function claimInto(
  db: Queryable,
  lane: string,
  into: Joinable,
  wanted: number,
  looksMs: number | null,
  { rows: limit, bytes }: Chunk,
): Promise<Joined | undefined> {
  const rows = await rowsOf<ClaimRow>(
    db,
    `select ${claimColumns} from outbox.claim_loaded(
       null, array[$1], array[0]::bigint[], interval '1 s', false, array[$2]::uuid[], array[$3]::int[], array[$4]::int[], array[$5]::int[],
       $6 * interval '1 ms', $7, $8)`,
    [lane, into.batchId, into.run, into.configRevision, wanted, looksMs, limit, bytes],
  );
  const [first, ...others] = rows;
  return first === undefined ? undefined : joinedBy([first, ...others]);
}

/** What is the batch's, but for its id, comes with its first row; it is null with the others. */
interface ClaimRow extends Omit<ClaimedBatch, 'opened'>, Omit<DeliveryRow, 'seq'> {
  readonly seqs: readonly string[] | null;
  readonly closed: boolean;
  readonly configRevision: number;
  /** Null where no row was loaded. */
  readonly seq: string | null;
}

function loadedOf(ofBatch: readonly ClaimRow[]): readonly DeliveryRow[] {
  return ofBatch[0]?.seq === null ? [] : (ofBatch as readonly (ClaimRow & DeliveryRow)[]);
}

function joinedBy(ofBatch: readonly [ClaimRow, ...ClaimRow[]]): Joined {
  const [{ lane, batchId, lastSeq, seqs, closed }] = ofBatch;
  const rows = loadedOf(ofBatch);
  return { lane, batchId, rows, rest: (seqs ?? []).slice(rows.length), lastSeq, closed };
}

/** Of `outbox.claim_loaded`, whose statement is no place for anything else: it is planned at each poll. */
const claimColumns = `lane, batch_id as "batchId", workflow_id as "workflowId", size, last_seq as "lastSeq", slow, seqs, closed,
  config_revision as "configRevision", ${loadedColumns}`;

const batchColumns = `c.lane, c.batch_id as "batchId", c.workflow_id as "workflowId", c.size, c.last_seq::text as "lastSeq", c.slow`;

function groupByBatch<Row extends { readonly batchId: string }>(
  rows: readonly Row[],
): Iterable<[Row, ...Row[]]> {
  const groups = new Map<string, [Row, ...Row[]]>();
  for (const row of rows) {
    const group = groups.get(row.batchId);
    if (group === undefined) groups.set(row.batchId, [row]);
    else group.push(row);
  }
  return groups.values();
}

/** Moves scheduled deliveries whose time has come to the tail of their lane; answers how many. */
export async function promoteDue(db: Queryable, limit: number): Promise<number> {
  const row = await firstOf<{ promoted: number }>(db, 'select outbox.promote_due($1) as promoted', [limit]);
  return row?.promoted ?? 0;
}

/** Returns the rows of a claim whose workflow was certainly never started, unless somebody opened its batch meanwhile. */
export async function releaseBatch(db: Queryable, claimed: ClaimedBatch): Promise<void> {
  const run = claimed.opened?.batch.run ?? 0;
  await db.query('select outbox.release_batch($1, $2)', [claimed.batchId, run]);
}

/** Makes missing partitions; answers how many. */
export async function makePartitions(db: Queryable): Promise<number> {
  const row = await firstOf<{ made: number }>(db, 'select outbox.make_partitions() as made');
  return row?.made ?? 0;
}

/** Headers of events of a batch that are of a trace, `limit` at most: who hands a batch to another process sees nothing else of it. */
export async function traceHeadersIn(db: Queryable, batchId: string, limit: number): Promise<string[]> {
  const rows = await rowsOf<{ headers: string }>(
    db,
    `select e.headers::text as headers from outbox.deliveries d join outbox.events e on e.id = d.event_id
     where d.batch_id = $1 and e.headers ? 'traceparent' order by d.seq limit $2`,
    [batchId, limit],
  );
  return rows.map(({ headers }) => headers);
}
