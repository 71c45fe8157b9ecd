import {
  getExternalWorkflowHandle,
  ParentClosePolicy,
  startChild,
  WorkflowIdReusePolicy,
} from '@temporalio/workflow';
import type { SplitOff } from '../activities/index.ts';
import { attributesFor } from './attributes.ts';
import { recheckSignal, type DeliverInput } from './contract.ts';

/** Failing deliveries that were split off get a workflow each, which outlives this one. */
export async function startSplitOff(
  singles: readonly SplitOff[],
  { timeoutMs, searchAttributes }: Pick<DeliverInput, 'timeoutMs' | 'searchAttributes'>,
): Promise<void> {
  await Promise.all(
    singles.map(async (single) => {
      const child: DeliverInput = {
        lane: single.lane,
        firstAttempt: 'activity',
        timeoutMs,
        searchAttributes,
      };
      try {
        await startChild('deliver', {
          workflowId: single.workflowId,
          args: [child],
          parentClosePolicy: ParentClosePolicy.ABANDON,
          workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
          staticSummary: single.eventType === null ? single.lane : `${single.eventType} → ${single.lane}`,
          ...(searchAttributes ? { typedSearchAttributes: attributesFor(single) } : {}),
        });
      } catch (error) {
        if ((error as Error).name !== 'WorkflowExecutionAlreadyStartedError') throw error;
        // It is alive under this id and may believe its row settled: have it look again.
        await getExternalWorkflowHandle(single.workflowId)
          .signal(recheckSignal)
          .catch(() => undefined);
      }
    }),
  );
}
