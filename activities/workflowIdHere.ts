import { activityInfo } from '@temporalio/activity';

/** Of the workflow that this activity runs for. */
export function workflowIdHere(): string {
  return activityInfo().workflowExecution?.workflowId ?? '';
}
