import { ScheduleNotFoundError, WorkflowNotFoundError } from '@temporalio/client';
import { workflowPrefix } from '../core/ids.ts';
import type { Temporal } from './connect.ts';
import { housekeepingScheduleId } from './schedule.ts';

/** Takes away what this database left in the namespace under a name that it has no more: its mark, and the schedule of housekeeping. */
export async function leaveName(
  { client }: Temporal,
  name: string | null,
  databaseId: string,
): Promise<void> {
  const marker = client.workflow.getHandle(`${workflowPrefix(name)}housekeeping`);
  try {
    const { memo, status } = await marker.describe();
    // Another database's, which this one never came to share the name with.
    if (memo?.['databaseId'] !== databaseId) return;
    if (status.name === 'RUNNING') await marker.terminate('the database has another name now');
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
  try {
    await client.schedule.getHandle(housekeepingScheduleId(name)).delete();
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
  }
}
