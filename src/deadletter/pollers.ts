import { taskQueueName } from '../core/ids.ts';
import type { Temporal } from '../temporal/connect.ts';

/** temporal.api.enums.v1.TaskQueueType */
const workflowTasks = 1;

/** Workers of ours seen within the last two minutes (a poll lasts one); null when Temporal does not say. */
export async function pollersOf(temporal: Temporal, name: string | null): Promise<number | null> {
  try {
    const { pollers } = await temporal.connection.withDeadline(Date.now() + 5_000, () =>
      temporal.connection.workflowService.describeTaskQueue({
        namespace: temporal.namespace,
        taskQueue: { name: taskQueueName(name) },
        taskQueueType: workflowTasks,
      }),
    );
    const since = Date.now() / 1000 - 120;
    return (pollers ?? []).filter((poller) => Number(poller.lastAccessTime?.seconds ?? 0) > since).length;
  } catch {
    return null;
  }
}
