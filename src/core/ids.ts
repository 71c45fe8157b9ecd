/** Names that Temporal sees. The database builds the same workflow ids in SQL (outbox.workflow_prefix, split_off). */

export function taskQueueName(name: string | null): string {
  return name === null ? 'temporal-outbox' : `temporal-outbox-${name}`;
}

export function workflowPrefix(name: string | null): string {
  return name === null ? '' : `${name}/`;
}

/** The one workflow that a destination has while it is paused or its circuit is not closed. */
export function destinationWorkflowId(name: string | null, destination: string): string {
  return `${workflowPrefix(name)}destination/${destination}`;
}

export function replayWorkflowId(name: string | null, id: string): string {
  return `${workflowPrefix(name)}replay/${id}`;
}

/** The workflow that keeps the time of a redrive that was not started in the Temporal UI. */
export function redriveWorkflowId(name: string | null, id: number): string {
  return `${workflowPrefix(name)}redrive/${id}`;
}

/** The batch id of `[name/]deliver/<batch id>`; null for a workflow named after its one delivery. */
export function batchIdOf(workflowId: string): string | null {
  return /(?:^|\/)deliver\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(workflowId)?.[1] ?? null;
}
