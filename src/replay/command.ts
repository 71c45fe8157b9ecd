/** A person's command to a replay: `pause`, `resume` (which begins a previewed one), `cancel`. */
import { randomUUID } from 'node:crypto';
import { WithStartWorkflowOperation } from '@temporalio/client';
import { parseCommand, type PacedAction, type PacedInput } from '../core/command.ts';
import { taskQueueName } from '../core/ids.ts';
import { explainNoAnswer } from '../deadletter/operator.ts';
import { announceCommand } from '../storage/audit.ts';
import type { ReplayStanding } from '../storage/replays.ts';
import type { ResolutionAnswer } from '../storage/resolutions.ts';
import type { Queryable } from '../storage/rows.ts';
import { answered } from '../temporal/answered.ts';
import type { Temporal } from '../temporal/connect.ts';
import { pacedUpdates, type ReplayWorkflowInput } from '../../workflows/contract.ts';

export interface ReplayCommandOptions {
  readonly db: Queryable;
  readonly temporal: Temporal;
  /** The configuration's `name`. */
  readonly name: string | null;
  readonly replay: Pick<ReplayStanding, 'id' | 'workflowId' | 'filter' | 'to'>;
  /** How long to wait for the answer. */
  readonly waitMs: number;
}

/**
 * Sends the command and brings its answer; refusals are answers. The replay's workflow is started where there is none: the rows say how far
 * it is.
 * @throws OutboxError when no answer came
 */
export async function sendReplayCommand(
  options: ReplayCommandOptions,
  action: PacedAction,
  details: Omit<PacedInput, 'commandId'>,
): Promise<ResolutionAnswer> {
  const { db, temporal, name, replay, waitMs } = options;
  const command: PacedInput = { ...details, commandId: randomUUID() };
  await announceCommand(db, replay.workflowId, parseCommand(action, command));
  const input: ReplayWorkflowInput = { id: replay.id };
  try {
    return await answered(temporal, waitMs, () =>
      temporal.client.workflow.executeUpdateWithStart(pacedUpdates[action], {
        args: [command],
        startWorkflowOperation: new WithStartWorkflowOperation('replay', {
          workflowId: replay.workflowId,
          taskQueue: taskQueueName(name),
          args: [input],
          staticSummary: summaryOf(replay),
          workflowIdConflictPolicy: 'USE_EXISTING',
        }),
      }),
    );
  } catch (error) {
    throw await explainNoAnswer(error, options, waitMs, replay.workflowId);
  }
}

function summaryOf({ filter, to }: ReplayCommandOptions['replay']): string {
  const what = filter.type ?? (filter.key === undefined ? 'events' : 'events of a key');
  return `replay of ${what} ${to === null ? 'that no route took' : `to ${to}`}`.slice(0, 200);
}
