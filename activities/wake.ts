import { WorkflowNotFoundError } from '@temporalio/client';
import { getClient } from '@temporalio/activity';

/**
 * Tells a workflow that another hand changed its rows. One that has not begun reads them as it begins; one that is gone has nothing to learn.
 * @throws what the client throws when Temporal does not answer
 */
export async function wake(workflowId: string): Promise<void> {
  try {
    await getClient().workflow.getHandle(workflowId).signal('recheck');
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

/** The same where somebody looks again later: one that cannot be told now is told, or found, then. */
export async function tryToWake(workflowId: string): Promise<void> {
  await wake(workflowId).catch(() => undefined);
}
