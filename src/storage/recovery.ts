import { firstOf, rowsOf, type Queryable } from './connect.ts';

export interface BatchToCheck {
  readonly batchId: string;
  readonly workflowId: string;
  readonly lane: string;
  readonly run: number;
  /** Whether its workflow was seen paused by a person when last looked at. */
  readonly pauseNoted?: boolean;
}

/** Batches not looked at for `ageMs`, oldest look first; marks them as looked at. */
export async function batchesToCheck(db: Queryable, ageMs: number, limit: number): Promise<BatchToCheck[]> {
  return rowsOf<BatchToCheck>(
    db,
    `select batch_id as "batchId", workflow_id as "workflowId", lane, run,
       (select b.paused_in_temporal is not null from outbox.batches b where b.id = batch_id) as "pauseNoted"
     from outbox.batches_to_check($1 * interval '1 ms', $2)`,
    [ageMs, limit],
  );
}

/**
 * Parks what a workflow that was ended from outside had not settled; answers how many rows still need a workflow. With `run`, only
 * while that is the latest run.
 */
export async function parkBatch(
  db: Queryable,
  workflowId: string,
  reason: string,
  run: number | null = null,
): Promise<number> {
  const row = await firstOf<{ rows: number }>(db, 'select outbox.park_batch($1, $2, $3) as rows', [
    workflowId,
    reason,
    run,
  ]);
  return row?.rows ?? 0;
}

export async function laneOfWorkflow(db: Queryable, workflowId: string): Promise<BatchToCheck | undefined> {
  return firstOf<BatchToCheck>(
    db,
    `select id as "batchId", workflow_id as "workflowId", lane, run from outbox.batches where workflow_id = $1`,
    [workflowId],
  );
}

/** Binds the database to a namespace on first use; answers the one it is bound to. */
export async function bindTemporal(db: Queryable, namespaceId: string): Promise<string> {
  const row = await firstOf<{ bound: string }>(db, 'select outbox.bind_temporal($1) as bound', [namespaceId]);
  return row?.bound ?? namespaceId;
}

/** Hands the rows to another Temporal store; answers how many claims were returned to pending. */
export async function adoptTemporal(db: Queryable, namespaceId: string): Promise<number> {
  const row = await firstOf<{ returned: number }>(db, 'select outbox.adopt_temporal($1) as returned', [
    namespaceId,
  ]);
  return row?.returned ?? 0;
}

/** Binds the database to where it lives on first use; answers false for a copy that nobody has confirmed. */
export async function bindHome(db: Queryable): Promise<boolean> {
  const row = await firstOf<{ here: boolean }>(db, 'select outbox.bind_home() as here');
  return row?.here === true;
}

/** Whether nothing says that this is a copy; changes nothing. */
export async function isHome(db: Queryable): Promise<boolean> {
  const row = await firstOf<{ here: boolean }>(
    db,
    'select home is null or home = outbox.home() as here from outbox.settings',
  );
  return row?.here === true;
}

/** A new mark, to be left in Temporal. */
export async function makeMark(db: Queryable): Promise<string> {
  const row = await firstOf<{ mark: string }>(db, 'select outbox.make_mark() as mark');
  if (row === undefined) throw new Error('outbox.make_mark answered no row');
  return row.mark;
}

/** Whether this database made the mark that was found in Temporal. */
export async function knowsMark(db: Queryable, mark: string): Promise<boolean> {
  return (await firstOf(db, 'select 1 from outbox.marks where mark::text = $1', [mark])) !== undefined;
}

/** Which of these marks, all UUIDs, is to be remembered in Temporal in place of `present`; null for none. */
export async function latestMark(
  db: Queryable,
  marks: readonly string[],
  present: string | null,
): Promise<string | null> {
  const row = await firstOf<{ mark: string | null }>(db, 'select outbox.latest_mark($1, $2) as mark', [
    marks,
    present,
  ]);
  return row?.mark ?? null;
}

/** After a restore: voids every claim and workflow; answers how many claims were returned to pending. */
export async function settleRestored(db: Queryable): Promise<number> {
  const row = await firstOf<{ returned: number }>(db, 'select outbox.settle_restored() as returned');
  return row?.returned ?? 0;
}

/** The last step of a restore: work goes on in this database. */
export async function acceptHome(db: Queryable): Promise<void> {
  await db.query('select outbox.accept_home()');
}

/** The ids of all `deliver` workflows that own rows. */
export async function workflowsWithRows(db: Queryable): Promise<string[]> {
  const rows = await rowsOf<{ id: string }>(db, 'select workflow_id as id from outbox.batches order by id');
  return rows.map(({ id }) => id);
}
