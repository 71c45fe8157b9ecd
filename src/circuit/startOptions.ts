import { destinationWorkflowId, taskQueueName } from '../core/ids.ts';
import { destinationAttributes } from '../../workflows/attributes.ts';
import type { DestinationWorkflowInput } from '../../workflows/contract.ts';

export interface DestinationWorkflow {
  /** The configuration's `name`. */
  readonly name: string | null;
  readonly destination: string;
  readonly timeoutMs: number;
  readonly searchAttributes: boolean;
}

/** How the workflow of a destination is started, whoever starts it. */
export function destinationStartOptions({
  name,
  destination,
  timeoutMs,
  searchAttributes,
}: DestinationWorkflow) {
  const input: DestinationWorkflowInput = { name: destination, timeoutMs, searchAttributes };
  return {
    workflowId: destinationWorkflowId(name, destination),
    taskQueue: taskQueueName(name),
    args: [input] as [DestinationWorkflowInput],
    staticSummary: `${destination}: circuit and pauses`,
    ...(searchAttributes ? { typedSearchAttributes: destinationAttributes(destination) } : {}),
  };
}
