import { WorkflowExecutionAlreadyStartedError, type WorkflowStartOptions } from '@temporalio/client';
import type { Temporal } from './connect.ts';

const startDeadlineMs = 10_000;

/**
 * Starts a workflow; one that runs already under its id counts as started, and false is answered. An unknown outcome throws: the same start
 * may be repeated.
 */
export async function ensureStarted(
  temporal: Temporal,
  workflowType: string,
  options: WorkflowStartOptions,
): Promise<boolean> {
  let isNew = true;
  await withStartDeadline(temporal, async () => {
    await temporal.client.workflow.start(workflowType, options).catch((error: unknown) => {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      isNew = false;
    });
  });
  return isNew;
}

/** For starts by other means. */
export async function withStartDeadline(temporal: Temporal, start: () => Promise<unknown>): Promise<void> {
  await temporal.client.withDeadline(Date.now() + startDeadlineMs, start);
}
