import {
  condition,
  continueAsNew,
  defineQuery,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import { markSignal } from './contract.ts';

export const databaseQuery = defineQuery<unknown>('database');

/**
 * Runs for good, once per name: its memo says which database the workflows of this name belong to, and in which state, so that a second
 * database under the same name, or a copy of the first, is noticed before anything of it starts.
 */
export async function housekeeping(): Promise<void> {
  setHandler(databaseQuery, () => workflowInfo().memo?.['databaseId'], {
    description: 'The database whose workflows these are',
  });
  setHandler(markSignal, (mark: string) => upsertMemo({ mark }), {
    description: 'Internal: a process of that database has started',
  });
  // The memo goes with it.
  await condition(() => workflowInfo().continueAsNewSuggested);
  await continueAsNew<typeof housekeeping>();
}
