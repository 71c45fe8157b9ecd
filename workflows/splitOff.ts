import { workflowInfo } from '@temporalio/workflow';
import type { SplitOff } from '../activities/index.ts';
import { aboutDelivery } from './aboutDelivery.ts';
import { attributesFor } from './attributes.ts';
import { attributesNow } from './attributesNow.ts';
import type { DeliverInput } from './contract.ts';
import { ensureChild } from './ensureChild.ts';
import { summaryOf } from './splitOffSummary.ts';

/** Failing deliveries that were split off get a workflow each, which outlives this one. */
export async function startSplitOff(
  singles: readonly SplitOff[],
  { timeoutMs, searchAttributes: atStart }: Pick<DeliverInput, 'timeoutMs' | 'searchAttributes'>,
): Promise<void> {
  if (singles.length === 0) return;
  const searchAttributes = await attributesNow(atStart);
  const { namespace, taskQueue } = workflowInfo();
  await Promise.all(
    singles.map((single) =>
      ensureChild<DeliverInput>('deliver', {
        workflowId: single.workflowId,
        args: [{ lane: single.lane, firstAttempt: 'activity', timeoutMs, searchAttributes }],
        staticSummary: summaryOf(single),
        staticDetails: aboutDelivery(single, { namespace, taskQueue, searchAttributes }),
        ...(searchAttributes ? { typedSearchAttributes: attributesFor(single) } : {}),
      }),
    ),
  );
}
