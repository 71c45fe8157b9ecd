import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import { taskQueueName } from '../core/ids.ts';
import { recheckSignal } from '../../workflows/contract.ts';
import type { Temporal } from './connect.ts';

/** Workflows that are woken each look at their rows: not all at once. */
const perSecond = 100;

/**
 * Asks every running `deliver` workflow of this name to look at its rows again: something outside changed them. One whose rows are gone
 * ends. Answers how many were asked; `onProgress` is told after each hundred.
 */
export async function recheckAll(
  { client }: Temporal,
  name: string | null,
  onProgress: (asked: number) => void,
): Promise<number> {
  const query = `WorkflowType = "deliver" AND ExecutionStatus = "Running" AND TaskQueue = "${taskQueueName(name)}"`;
  let asked = 0;
  for await (const { workflowId } of client.workflow.list({ query, pageSize: 200 })) {
    try {
      await client.workflow.getHandle(workflowId).signal(recheckSignal);
    } catch (error) {
      // Ended since it was listed.
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      continue;
    }
    asked++;
    if (asked % perSecond === 0) {
      onProgress(asked);
      await sleep(1_000);
    }
  }
  return asked;
}
