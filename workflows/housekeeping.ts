import { condition, defineQuery, setHandler, workflowInfo } from '@temporalio/workflow';

export const databaseQuery = defineQuery<unknown>('database');

/**
 * Runs for good, once per name: its memo says which database the workflows of this name belong to, so that a second
 * database under the same name is noticed before anything of it starts.
 */
export async function housekeeping(): Promise<void> {
  setHandler(databaseQuery, () => workflowInfo().memo?.['databaseId'], {
    description: 'The database whose workflows these are',
  });
  await condition(() => false);
}
