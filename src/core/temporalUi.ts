/** Parked deliveries of a destination, for links within the Temporal UI. By search attributes where the namespace has ours. */
export function parkedList(
  namespace: string,
  prefix: string,
  destination: string,
  searchAttributes: boolean,
): string {
  const which = searchAttributes
    ? `OutboxState="parked" AND OutboxDestination="${destination}"`
    : `WorkflowId STARTS_WITH "${prefix}deliver/${destination}/" AND ExecutionStatus="Running"`;
  return `/namespaces/${encodeURIComponent(namespace)}/workflows?query=${encodeURIComponent(which)}`;
}

/** The page that starts a workflow, filled in; with a run its input, too. */
export function startPage(
  namespace: string,
  filledIn: {
    readonly workflowType: string;
    readonly taskQueue: string;
    readonly workflowId: string;
    readonly runId?: string;
  },
): string {
  const query = Object.entries(filledIn)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  return `/namespaces/${encodeURIComponent(namespace)}/workflows/start-workflow?${query}`;
}

/** The page of a workflow in the Temporal UI. */
export function workflowLink(uiUrl: string, namespace: string, workflowId: string): string {
  const base = uiUrl.replace(/\/+$/, '');
  return `${base}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(workflowId)}`;
}
