/** What is known of workflows that a person paused in the Temporal UI; relays note it as they come by. */
import { sharedLane } from '../core/sharedLane.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';

export interface PausedWorkflow {
  readonly workflowId: string;
  /** Null for half messages. */
  readonly destination: string | null;
  /** Deliveries or half messages that wait for it. */
  readonly held: number;
  /** Who paused it, and why. */
  readonly note: string;
}

/** Answers whether that is news. Null: it is not paused. */
export async function notePaused(db: Queryable, workflowId: string, note: string | null): Promise<boolean> {
  const row = await firstOf<{ news: boolean }>(db, 'select outbox.note_paused($1, $2) as news', [
    workflowId,
    note,
  ]);
  return row?.news === true;
}

/** The same of a destination's own workflow. */
export async function noteDestinationPaused(
  db: Queryable,
  destination: string,
  note: string | null,
): Promise<boolean> {
  const row = await firstOf<{ news: boolean }>(db, 'select outbox.note_destination_paused($1, $2) as news', [
    destination,
    note,
  ]);
  return row?.news === true;
}

/** Why the workflow of this id does nothing; null where it is not known to be paused. */
export async function pauseNoteOf(db: Queryable, workflowId: string): Promise<string | null> {
  const row = await firstOf<{ note: string | null }>(
    db,
    `select coalesce((select paused_in_temporal from outbox.batches where workflow_id = $1),
                     (select paused_in_temporal from outbox.message_batches where workflow_id = $1)) as note`,
    [workflowId],
  );
  return row?.note ?? null;
}

export async function readPausedWorkflows(db: Queryable, limit: number): Promise<PausedWorkflow[]> {
  return rowsOf<PausedWorkflow>(
    db,
    `select workflow_id as "workflowId", destination, held::float8 as held, note from (
       select b.workflow_id, nullif(b.lane, '${sharedLane}') as destination, b.paused_in_temporal as note,
         (select count(*) from outbox.deliveries d where d.batch_id = b.id) as held
       from outbox.batches b where b.paused_in_temporal is not null
       union all
       select b.workflow_id, null, b.paused_in_temporal,
         (select count(*) from outbox.prepared_messages m where m.workflow_id = b.workflow_id)
       from outbox.message_batches b where b.paused_in_temporal is not null
       union all
       select coalesce(s.name || '/', '') || 'destination/' || c.destination, c.destination, c.paused_in_temporal,
         (select count(*) from outbox.deliveries d where d.destination = c.destination and d.state in ('pending', 'blocked'))
       from outbox.circuits c cross join outbox.settings s where c.paused_in_temporal is not null) paused
     order by workflow_id limit $1`,
    [limit],
  );
}
