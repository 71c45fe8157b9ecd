import {
  getExternalWorkflowHandle,
  ParentClosePolicy,
  startChild,
  WorkflowIdReusePolicy,
  type ChildWorkflowOptions,
} from '@temporalio/workflow';
import { recheckSignal } from './contract.ts';

/** What the caller decides of a child. */
export type ChildOptions<Input> = Pick<
  ChildWorkflowOptions,
  'staticSummary' | 'staticDetails' | 'typedSearchAttributes'
> & {
  readonly workflowId: string;
  readonly args: [Input];
};

/** Starts a workflow that outlives this one; one that is alive under its id is told to look at its rows again. */
export async function ensureChild<Input>(type: string, options: ChildOptions<Input>): Promise<void> {
  try {
    await startChild(type, {
      ...options,
      parentClosePolicy: ParentClosePolicy.ABANDON,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
    });
  } catch (error) {
    if ((error as Error).name !== 'WorkflowExecutionAlreadyStartedError') throw error;
    // It may believe its rows settled.
    await getExternalWorkflowHandle(options.workflowId)
      .signal(recheckSignal)
      .catch(() => undefined);
  }
}
