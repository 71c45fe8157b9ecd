/** Names that Temporal sees. The database builds the same workflow ids in SQL (outbox.workflow_prefix, split_off). */

export function taskQueueName(name: string | null): string {
  return name === null ? 'temporal-outbox' : `temporal-outbox-${name}`;
}

export function workflowPrefix(name: string | null): string {
  return name === null ? '' : `${name}/`;
}

/** The batch id of `[name/]deliver/<batch id>`; null for a workflow named after its one delivery. */
export function batchIdOf(workflowId: string): string | null {
  return /(?:^|\/)deliver\/([0-9a-f-]{36})$/.exec(workflowId)?.[1] ?? null;
}
