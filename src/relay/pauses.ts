import type { Log } from '../../activities/index.ts';
import { notePaused } from '../storage/paused.ts';
import type { Queryable } from '../storage/connect.ts';
import { noteOf } from '../temporal/pauseNote.ts';
import type { WorkflowPause } from '../temporal/standing.ts';

interface Owner {
  readonly workflowId: string;
  readonly pauseNoted?: boolean;
}

/** Notes beside the rows that a person paused their workflow, or lets it run again; says so once. */
export async function followPause(
  db: Queryable,
  log: Log,
  { workflowId, pauseNoted }: Owner,
  pause: WorkflowPause | null,
): Promise<void> {
  if (pause === null && pauseNoted !== true) return;
  const note = noteOf(pause);
  if (!(await notePaused(db, workflowId, note))) return;
  if (note === null) log.info({ workflowId }, 'its workflow goes on: nobody pauses it any more');
  else
    log.warn(
      { workflowId, pause: note },
      'its workflow was paused: it does nothing until it is unpaused there',
    );
}
