/** Under the name of ours, and not compatible with it: it waits before it attempts anything. */
import { sleep } from '@temporalio/workflow';

export async function deliver(): Promise<void> {
  await sleep('1 minute');
}
