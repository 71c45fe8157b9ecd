import { firstOf, rowsOf, type Queryable } from './connect.ts';

export interface ClaimedBatch {
  readonly lane: string;
  readonly batchId: string;
  readonly workflowId: string;
  readonly size: number;
  /** The largest seq in it, as text: int8 does not fit a number. */
  readonly lastSeq: string;
}

/** Heartbeat; answers the lanes this relay owns until the lease ends. */
export async function holdLanes(
  db: Queryable,
  relayId: string,
  label: string,
  leaseMs: number,
): Promise<string[]> {
  const rows = await rowsOf<{ hold_lanes: string }>(
    db,
    `select outbox.hold_lanes($1, $2, $3 * interval '1 ms')`,
    [relayId, label, leaseMs],
  );
  return rows.map((row) => row.hold_lanes);
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
  return rowsOf<ClaimedBatch>(
    db,
    `select lane, batch_id as "batchId", workflow_id as "workflowId", size, last_seq::text as "lastSeq"
     from outbox.claim($1, $2, $3::bigint[], $4 * interval '1 ms')`,
    [relayId, lanes, after, slowAfterMs],
  );
}

/** Moves scheduled deliveries whose time has come to the tail of their lane; answers how many. */
export async function promoteDue(db: Queryable, limit: number): Promise<number> {
  const row = await firstOf<{ promoted: number }>(db, 'select outbox.promote_due($1) as promoted', [limit]);
  return row?.promoted ?? 0;
}

/** Returns the rows of a batch whose workflow was certainly never started. */
export async function releaseBatch(db: Queryable, batchId: string): Promise<void> {
  await db.query('select outbox.release_batch($1)', [batchId]);
}

/** Makes missing partitions; answers how many. */
export async function makePartitions(db: Queryable): Promise<number> {
  const row = await firstOf<{ made: number }>(db, 'select outbox.make_partitions() as made');
  return row?.made ?? 0;
}
