/**
 * What Temporal Cloud would bill for a history (https://docs.temporal.io/cloud/actions): a start, a timer, a signal, an update, an
 * activity and each of its retries, a change of search attributes, and all local activities of one workflow task together.
 */
const billed = {
  workflowExecutionStartedEventAttributes: () => 1,
  timerStartedEventAttributes: () => 1,
  workflowExecutionSignaledEventAttributes: () => 1,
  workflowExecutionUpdateAcceptedEventAttributes: () => 1,
  upsertWorkflowSearchAttributesEventAttributes: () => 1,
  startChildWorkflowExecutionInitiatedEventAttributes: () => 1,
  activityTaskStartedEventAttributes: ({ attempt }) => attempt,
};

export function actionsOf(events) {
  // Markers of one task name the task that recorded them.
  const tasksWithLocalActivities = new Set();
  let actions = 0;
  for (const event of events) {
    const marker = event.markerRecordedEventAttributes;
    if (marker?.markerName === 'core_local_activity')
      tasksWithLocalActivities.add(String(marker.workflowTaskCompletedEventId));
    for (const [name, count] of Object.entries(billed))
      if (event[name] !== undefined && event[name] !== null) actions += Number(count(event[name]));
  }
  return actions + tasksWithLocalActivities.size;
}

/** Of all workflows that were started since then: how many, and the events, bytes and billed actions of their histories. */
export async function historiesSince(workflow, since) {
  const sum = { workflows: 0, events: 0, bytes: 0, actions: 0 };
  for await (const { workflowId, runId } of workflow.list({
    query: `StartTime >= '${since.toISOString()}'`,
  })) {
    const handle = workflow.getHandle(workflowId, runId);
    const [{ events = [] }, { raw }] = await Promise.all([handle.fetchHistory(), handle.describe()]);
    sum.workflows++;
    sum.events += events.length;
    sum.bytes += Number(raw.workflowExecutionInfo?.historySizeBytes ?? 0);
    sum.actions += actionsOf(events);
  }
  return sum;
}
