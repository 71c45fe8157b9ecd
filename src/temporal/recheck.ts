import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import { taskQueueName } from '../core/ids.ts';
import { recheckSignal } from '../../workflows/contract.ts';
import type { Temporal } from './connect.ts';
import { innermostWords } from './grpc.ts';

/** Workflows that are woken each look at their rows: not all at once. */
const perSecond = 100;

/** Looking for them is bounded: the client repeats what is refused for load for as long as it is let. */
const listForMs = 20_000;

export interface Rechecked {
  readonly asked: number;
  /** Why Temporal did not list its workflows, so that only those were asked that own rows; null when it did. */
  readonly unlisted: string | null;
}

/** Those that Temporal has running. */
export function runningQuery(name: string | null): string {
  return `WorkflowType = "deliver" AND ExecutionStatus = "Running" AND TaskQueue = "${taskQueueName(name)}"`;
}

/**
 * Asks every running `deliver` workflow of this name to look at its rows again: something outside changed them. One whose rows are gone
 * ends. Where Temporal lists none, those that own rows are asked, `owners`. `onProgress` is told after each hundred.
 */
export async function recheckAll(
  temporal: Temporal,
  name: string | null,
  owners: () => Promise<readonly string[]>,
  onProgress: (asked: number) => void,
): Promise<Rechecked> {
  let unlisted: string | null = null;
  const listed = await temporal.client
    .withDeadline(Date.now() + listForMs, () => listRunning(temporal, name))
    .catch((error: unknown) => {
      unlisted = innermostWords(error);
      return undefined;
    });
  let asked = 0;
  for (const workflowId of listed ?? (await owners())) {
    try {
      await temporal.client.workflow.getHandle(workflowId).signal(recheckSignal);
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
  return { asked, unlisted };
}

async function listRunning({ client }: Temporal, name: string | null): Promise<string[]> {
  const ids: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query: runningQuery(name), pageSize: 1_000 }))
    ids.push(workflowId);
  return ids;
}
