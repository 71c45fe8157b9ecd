import { patched, proxyLocalActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';

/**
 * Whether the namespace has our search attributes, now. One that was removed meanwhile fails the workflow task that names it, and each
 * repeat of it. A local activity is repeated with its task, so the repeat learns better; its answer in history is for replays.
 */
export async function attributesNow(atStart: boolean): Promise<boolean> {
  if (!atStart || !patched('asks-for-search-attributes')) return atStart;
  const { hasSearchAttributes } = proxyLocalActivities<Activities>({
    startToCloseTimeout: '10s',
    retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '20s' },
  });
  return hasSearchAttributes();
}
