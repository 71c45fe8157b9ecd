/**
 * Sends an operator's commands to the workflows that hold dead letters, and brings the answers back. Used by whatever a
 * person works with: the CLI, a dashboard, a script of yours.
 */
import { randomUUID } from 'node:crypto';
import {
  WithStartWorkflowOperation,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { parseCommand, type ResolutionAction, type ResolutionInput } from '../core/command.ts';
import { taskQueueName } from '../core/ids.ts';
import { OutboxError, type ErrorCode } from '../errors.ts';
import { announceCommand } from '../storage/audit.ts';
import { readDestinations } from '../storage/configuration.ts';
import type { Queryable } from '../storage/connect.ts';
import type { DeadLetterTarget } from '../storage/deadLetters.ts';
import type { ResolutionAnswer } from '../storage/resolutions.ts';
import { answered } from '../temporal/answered.ts';
import type { Temporal } from '../temporal/connect.ts';
import { unreachable } from '../temporal/unreachable.ts';
import { noteOf } from '../temporal/pauseNote.ts';
import { standingOf } from '../temporal/standing.ts';
import { withOrWithoutAttributes } from '../temporal/visibility.ts';
import { attributesFor } from '../../workflows/attributes.ts';
import { updates, type DeliverInput } from '../../workflows/contract.ts';
import { forEachAtOnce } from './atOnce.ts';
import { pollersOf } from './pollers.ts';

/** What is to be done with every dead letter named. */
export interface Resolution {
  readonly action: ResolutionAction;
  /** Who asks; goes into the audit as a claim. */
  readonly actor: string;
  readonly reason?: string;
  /** `redirect`: the destination to send it to instead. */
  readonly to?: string;
  /** `edit`: the revision that `prepareRevision` stored; belongs to one dead letter. */
  readonly revision?: number;
}

export interface OperatorOptions {
  readonly db: Queryable;
  readonly temporal: Temporal;
  /** The configuration's `name`. */
  readonly name: string | null;
  /** Whether the namespace has our search attributes. */
  readonly searchAttributes: boolean;
  /** How long to wait for a workflow's answer. Default 30 s. */
  readonly timeoutMs?: number;
  /** Workflows asked at a time. Default 8. */
  readonly concurrency?: number;
  /** Set by a program that sends what people ask it for: its database user is nobody's word then, where two persons have to say so. */
  readonly onBehalf?: boolean;
}

/**
 * What came of it for one dead letter. `waiting`: for a second person to say the same. `failed`: no answer, so it may or may not have been carried
 * out.
 */
export interface Resolved {
  readonly target: DeadLetterTarget;
  readonly outcome: ResolutionAnswer['outcome'] | 'failed';
  readonly message: string;
  /** Of what the configuration does not let be done, or not yet. */
  readonly code?: ErrorCode;
  /** Set when outcome is `failed`. */
  readonly error?: OutboxError;
}

export interface Operator {
  /** One dead letter; refusals are answers. @throws OutboxError when no answer came */
  resolveDeadLetter(target: DeadLetterTarget, resolution: Resolution): Promise<ResolutionAnswer>;
  /** Any number of them; never throws for one of them. `onResolved` is told as answers come. */
  resolveDeadLetters(
    targets: readonly DeadLetterTarget[],
    resolution: Resolution,
    onResolved?: (resolved: Resolved) => void,
  ): Promise<Resolved[]>;
}

/** Ids in one command, the most it takes: the workflow is busy with what the first one set going when a second comes. */
const idsPerCommand = 1000;
const assumedTimeoutMs = 15_000;
const lookForMs = 3_000;

export async function createOperator(options: OperatorOptions): Promise<Operator> {
  const { destinations } = await readDestinations(options.db);
  const timeouts = new Map(destinations.map(({ name, timeoutMs }) => [name, timeoutMs]));
  const send = (targets: readonly DeadLetterTarget[], resolution: Resolution): Promise<ResolutionAnswer> =>
    sendCommand(options, timeouts, targets, resolution);
  return {
    resolveDeadLetter: (target, resolution) => send([target], resolution),
    resolveDeadLetters: async (targets, resolution, onResolved = () => undefined) => {
      const resolved: Resolved[] = [];
      await forEachAtOnce(options.concurrency ?? 8, groupByWorkflow(targets), async (group) => {
        for (const one of await settleGroup(send, group, resolution)) {
          resolved.push(one);
          onResolved(one);
        }
      });
      return resolved;
    },
  };
}

/** One command for many dead letters of one workflow: a workflow takes ten updates at a time and 2,000 in all. */
function groupByWorkflow(targets: readonly DeadLetterTarget[]): DeadLetterTarget[][] {
  const open = new Map<string, DeadLetterTarget[]>();
  const groups: DeadLetterTarget[][] = [];
  for (const target of targets) {
    const group = open.get(target.workflowId);
    if (group !== undefined && group.length < idsPerCommand) {
      group.push(target);
      continue;
    }
    const started = [target];
    open.set(target.workflowId, started);
    groups.push(started);
  }
  return groups;
}

/** A command is all or nothing. A refused one is halved, so that one that is gone does not hold back its neighbours. */
async function settleGroup(
  send: (targets: readonly DeadLetterTarget[], resolution: Resolution) => Promise<ResolutionAnswer>,
  group: readonly DeadLetterTarget[],
  resolution: Resolution,
): Promise<Resolved[]> {
  try {
    const { outcome, message, code } = await send(group, resolution);
    if (outcome !== 'refused' || group.length === 1)
      return group.map((target) => ({ target, outcome, message, ...(code === undefined ? {} : { code }) }));
  } catch (error) {
    const failure = error instanceof OutboxError ? error : unexpected(error);
    return group.map((target) => ({ target, outcome: 'failed', message: failure.message, error: failure }));
  }
  const middle = Math.ceil(group.length / 2);
  const first = await settleGroup(send, group.slice(0, middle), resolution);
  return [...first, ...(await settleGroup(send, group.slice(middle), resolution))];
}

/**
 * An update, not a signal, because it answers; with a start, because the workflow may have been closed by somebody:
 * the rows say what it holds, so one started anew under the same id carries on.
 */
async function sendCommand(
  options: OperatorOptions,
  timeouts: ReadonlyMap<string, number>,
  targets: readonly DeadLetterTarget[],
  { action, ...details }: Resolution,
): Promise<ResolutionAnswer> {
  const { temporal, timeoutMs = 30_000 } = options;
  const command: ResolutionInput = {
    ...details,
    event: targets.map((target) => target.eventId),
    commandId: randomUUID(),
  };
  await announceCommand(options.db, targets[0]?.workflowId ?? '', {
    ...parseCommand(action, command),
    ...(options.onBehalf === true ? { onBehalf: true } : {}),
  });
  try {
    // The client asks again by itself for as long as no answer comes; a deadline, being a moment, bounds all of it.
    // (An abort signal would too, but the native connection does not know them.)
    return await answered(temporal, timeoutMs, () =>
      withOrWithoutAttributes(options.searchAttributes, (searchAttributes) =>
        temporal.client.workflow.executeUpdateWithStart(updates[action], {
          args: [command],
          startWorkflowOperation: startOf(
            { ...options, searchAttributes },
            timeouts,
            targets[0] as DeadLetterTarget,
          ),
        }),
      ),
    );
  } catch (error) {
    throw await explainNoAnswer(error, options, timeoutMs, targets[0]?.workflowId);
  }
}

function startOf(
  { name, searchAttributes }: OperatorOptions,
  timeouts: ReadonlyMap<string, number>,
  { workflowId, destination }: DeadLetterTarget,
) {
  const input: DeliverInput = {
    lane: destination,
    firstAttempt: 'activity',
    timeoutMs: timeouts.get(destination) ?? assumedTimeoutMs,
    searchAttributes,
  };
  return new WithStartWorkflowOperation('deliver', {
    workflowId,
    taskQueue: taskQueueName(name),
    args: [input],
    workflowIdConflictPolicy: 'USE_EXISTING',
    ...(searchAttributes
      ? { typedSearchAttributes: attributesFor({ lane: destination, eventType: null }) }
      : {}),
  });
}

/** What an update that brought no answer means to a person. */
export async function explainNoAnswer(
  error: unknown,
  options: Pick<OperatorOptions, 'temporal' | 'name'>,
  timeoutMs: number,
  workflowId: string | undefined,
): Promise<OutboxError> {
  if (error instanceof WorkflowUpdateFailedError) return unexpected(error.cause ?? error);
  const paused = workflowId === undefined ? null : await pauseOf(options.temporal, workflowId);
  if (paused !== null) return pausedOne(error, workflowId ?? '', paused);
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isCancelled(error)) {
    return noAnswer(error, await pollersOf(options.temporal, options.name), options, timeoutMs);
  }
  return unreachable(options.temporal.address, error);
}

function isCancelled(error: unknown): boolean {
  const { name, code } = (error ?? {}) as { name?: string; code?: unknown };
  return name === 'AbortError' || code === 1 || code === 4;
}

/** Null also where Temporal does not say. */
async function pauseOf(temporal: Temporal, workflowId: string): Promise<string | null> {
  try {
    const { pause } = await temporal.client.withDeadline(Date.now() + lookForMs, () =>
      standingOf(temporal, workflowId),
    );
    return noteOf(pause);
  } catch {
    return null;
  }
}

function pausedOne(cause: unknown, workflowId: string, note: string): OutboxError {
  return new OutboxError('OUTBOX_NO_ANSWER', `workflow ${workflowId} is ${note}: it takes no commands`, {
    cause,
    hint: 'Unpause it there, then send the command again; should this one have come through, that is safe: it acts once.',
  });
}

function noAnswer(
  cause: unknown,
  pollers: number | null,
  { name }: Pick<OperatorOptions, 'name'>,
  timeoutMs: number,
): OutboxError {
  const waited = `no answer within ${Math.round(timeoutMs / 1000)} s`;
  const why =
    pollers === 0
      ? `no worker polls task queue ${taskQueueName(name)}`
      : 'its workflow is busy, or its worker slow or gone';
  return new OutboxError('OUTBOX_NO_ANSWER', `${waited}: ${why}`, {
    cause,
    hint:
      (pollers === 0 ? 'Start one: temporal-outbox run. ' : '') +
      'The command may still be carried out; sending it again is safe: it acts once.',
  });
}

function unexpected(error: unknown): OutboxError {
  const message = error instanceof Error ? error.message : String(error);
  return new OutboxError('OUTBOX_COMMAND_REFUSED', message, { cause: error });
}
