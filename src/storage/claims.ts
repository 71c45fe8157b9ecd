import { rowColumns, type Chunk, type DeliveryRow, type OpenedRows } from './attempts.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';

export interface ClaimedBatch {
  readonly lane: string;
  readonly batchId: string;
  readonly workflowId: string;
  readonly size: number;
  /** The largest seq in it, as text: int8 does not fit a number. */
  readonly lastSeq: string;
  /** Batches of this lane whose first attempt takes long. */
  readonly slow: number;
  /** Its first run and rows, when they were asked for. */
  readonly opened: OpenedRows | null;
}

/** Heartbeat; answers the lanes this relay owns until the lease ends. */
export async function holdLanes(
  db: Queryable,
  relayId: string,
  label: string,
  leaseMs: number,
  unable: readonly string[] = [],
): Promise<string[]> {
  const rows = await rowsOf<{ hold_lanes: string }>(
    db,
    `select outbox.hold_lanes($1, $2, $3 * interval '1 ms', $4)`,
    [relayId, label, leaseMs, unable],
  );
  return rows.map((row) => row.hold_lanes);
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
 * Claims as {@link claimBatches}, opens each batch's first run and loads its first rows, in the same round trip: for a worker
 * in this very process.
 */
export async function claimOpenBatches(
  db: Queryable,
  relayId: string,
  lanes: readonly string[],
  after: readonly string[],
  slowAfterMs: number,
  { rows: limit, bytes }: Chunk,
): Promise<ClaimedBatch[]> {
  const rows = await rowsOf<Omit<ClaimedBatch, 'opened'> & { configRevision: number } & DeliveryRow>(
    db,
    `select ${batchColumns}, s.config_revision as "configRevision", ${rowColumns}
     from outbox.claim($1, $2, $3::bigint[], $4 * interval '1 ms', true) c
     cross join outbox.settings s
     cross join lateral outbox.load_rows(c.batch_id, 0, $5, $6) r
     order by c.lane, r.seq`,
    [relayId, lanes, after, slowAfterMs, limit, bytes],
  );
  return Array.from(groupByBatch(rows), (ofBatch) => {
    const [{ lane, batchId, workflowId, size, lastSeq, slow, configRevision }] = ofBatch;
    const batch = { batchId, run: 1, lane, fruitless: 0, configRevision, held: false };
    return { lane, batchId, workflowId, size, lastSeq, slow, opened: { batch, rows: ofBatch } };
  });
}

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
