import {
  condition,
  continueAsNew,
  defineQuery,
  patched,
  proxyActivities,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import { checkInput } from './checkInput.ts';
import { isMark, markSignal } from './contract.ts';
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
  if (input !== undefined) return pass(input);
  const marks: string[] = [];
  setHandler(databaseQuery, () => workflowInfo().memo?.['databaseId'], {
    description: 'The database whose workflows these are',
  });
  setHandler(markSignal, (mark: unknown) => receive(mark, marks), {
    description: 'Internal: a process of that database has started',
  });
  for (;;) {
    await condition(() => marks.length > 0 || workflowInfo().continueAsNewSuggested);
    // The memo goes with it; marks that still wait are left by every process again, each hour.
    if (workflowInfo().continueAsNewSuggested) return continueAsNew<typeof housekeeping>();
    await remember(marks.splice(0));
  }
}

/** In a flood of them the latest count; a process leaves a new one every hour. */
const maximumWaiting = 100;

function receive(mark: unknown, marks: string[]): void {
  if (!patched('marks-are-asked-about')) return upsertMemo({ mark });
  if (!isMark(mark)) return;
  marks.push(mark);
  if (marks.length > maximumWaiting) marks.shift();
}

/** Whoever may send signals can send any mark, also one of long ago: which of them counts, the database knows that made them. */
async function remember(marks: readonly string[]): Promise<void> {
  const { latestMark } = proxyActivities<Activities>({
    startToCloseTimeout: '10s',
    retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '1m' },
  });
  const present = workflowInfo().memo?.['mark'];
  const mark = await latestMark({ marks, present: isMark(present) ? present : null });
  if (mark !== null) upsertMemo({ mark });
}

async function pass(input: HousekeepingInput): Promise<HousekeepingReport | null> {
  checkInput('housekeeping', input, { pass: ['true, or no input at all', (value) => value === true] });
  const { housekeep } = proxyActivities<Activities>({
    startToCloseTimeout: '6h',
    heartbeatTimeout: '2m',
    retry: { initialInterval: '10s', backoffCoefficient: 2, maximumInterval: '5m', maximumAttempts: 8 },
  });
  return housekeep();
}
