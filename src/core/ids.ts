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

/** What stands before the name of any workflow of ours; its `deliver` workflows have it, too. */
export function prefixOf(taskQueue: string): string {
  return workflowPrefix(taskQueue === taskQueueName(null) ? null : taskQueue.slice(taskQueueName('').length));
}

/** A redrive of everything like one dead letter, as its page's link starts it: its id says what is meant, as the page fills in no input. */
export function likeWorkflowId(prefix: string, letter: number): string {
  return `${prefix}redrive/like/${letter}`;
}

/** The letter that such an id names; null for any other. */
export function likeLetterOf(workflowId: string): number | null {
  const [, letter] = /(?:^|\/)redrive\/like\/([1-9]\d{0,14})$/.exec(workflowId) ?? [];
  return letter === undefined ? null : Number(letter);
}

/** The batch id of `[name/]deliver/<batch id>`; null for a workflow named after its one delivery. */
export function batchIdOf(workflowId: string): string | null {
  return /(?:^|\/)deliver\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(workflowId)?.[1] ?? null;
}
