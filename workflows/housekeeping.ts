import {
  condition,
  continueAsNew,
  defineQuery,
  proxyActivities,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import { markSignal } from './contract.ts';
import type { Activities, HousekeepingReport } from '../activities/index.ts';

export const databaseQuery = defineQuery<unknown>('database');

export interface HousekeepingInput {
  /** A pass to be made now, as the schedule asks for. */
  readonly pass: true;
}

/**
 * Without input it runs for good, once per name: its memo says which database the workflows of this name belong to, and in which state,
 * so that a second database under the same name, or a copy of the first, is noticed before anything of it starts.
 *
 * With input it makes one pass of housekeeping and answers what that did; null when another one was under way.
 */
export async function housekeeping(input?: HousekeepingInput): Promise<HousekeepingReport | null> {
  if (input !== undefined) return pass();
  setHandler(databaseQuery, () => workflowInfo().memo?.['databaseId'], {
    description: 'The database whose workflows these are',
  });
  setHandler(markSignal, (mark: string) => upsertMemo({ mark }), {
    description: 'Internal: a process of that database has started',
  });
  // The memo goes with it.
  await condition(() => workflowInfo().continueAsNewSuggested);
  return continueAsNew<typeof housekeeping>();
}

async function pass(): Promise<HousekeepingReport | null> {
  const { housekeep } = proxyActivities<Activities>({
    startToCloseTimeout: '6h',
    heartbeatTimeout: '2m',
    retry: { initialInterval: '10s', backoffCoefficient: 2, maximumInterval: '5m', maximumAttempts: 8 },
  });
  return housekeep();
}
