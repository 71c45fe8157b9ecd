/** A person's command to a destination: `pause`, `resume`, `probe`, `park`. */
import { randomUUID } from 'node:crypto';
import { WithStartWorkflowOperation } from '@temporalio/client';
import { parseDestinationCommand, type DestinationAction, type DestinationInput } from '../core/command.ts';
import { destinationWorkflowId } from '../core/ids.ts';
import { explainNoAnswer } from '../deadletter/operator.ts';
import { announceCommand } from '../storage/audit.ts';
import type { ResolutionAnswer } from '../storage/resolutions.ts';
import type { Queryable } from '../storage/rows.ts';
import { answered } from '../temporal/answered.ts';
import type { Temporal } from '../temporal/connect.ts';
import { withOrWithoutAttributes } from '../temporal/visibility.ts';
import { destinationUpdates } from '../../workflows/contract.ts';
import { destinationStartOptions, type DestinationWorkflow } from './startOptions.ts';

export interface DestinationCommandOptions extends DestinationWorkflow {
  readonly db: Queryable;
  readonly temporal: Temporal;
  /** How long to wait for the answer. */
  readonly waitMs: number;
}

/**
 * Sends the command and brings its answer; refusals are answers. The destination's workflow is started where there is none.
 * @throws OutboxError when no answer came
 */
export async function sendDestinationCommand(
  options: DestinationCommandOptions,
  action: DestinationAction,
  details: Omit<DestinationInput, 'commandId'>,
): Promise<ResolutionAnswer> {
  const { db, temporal, waitMs, name, destination } = options;
  const command: DestinationInput = { ...details, commandId: randomUUID() };
  await announceCommand(
    db,
    destinationWorkflowId(name, destination),
    parseDestinationCommand(action, command),
  );
  try {
    return await answered(temporal, waitMs, () =>
      withOrWithoutAttributes(options.searchAttributes, (searchAttributes) =>
        temporal.client.workflow.executeUpdateWithStart(destinationUpdates[action], {
          args: [command],
          startWorkflowOperation: new WithStartWorkflowOperation('destination', {
            ...destinationStartOptions({ ...options, searchAttributes }),
            workflowIdConflictPolicy: 'USE_EXISTING',
          }),
        }),
      ),
    );
  } catch (error) {
    throw await explainNoAnswer(error, options, waitMs, destinationWorkflowId(name, destination));
  }
}
