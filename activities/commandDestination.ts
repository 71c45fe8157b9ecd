import { heartbeat } from '@temporalio/activity';
import type { ParsedDestinationCommand } from '../src/core/command.ts';
import { parseDuration } from '../src/core/duration.ts';
import type { SplitOff } from '../src/storage/attempts.ts';
import {
  commandDestination as carryOutInSql,
  countBatch,
  noteDestinationCommand,
  parkPending,
} from '../src/storage/circuits.ts';
import { isOfServer } from '../src/storage/errors.ts';
import type { ResolutionAnswer } from '../src/storage/resolutions.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { heartbeating } from './heartbeating.ts';
import { lookAtDestination, probeDestination } from './probe.ts';
import { withSenders } from './senders.ts';
import { workflowIdHere } from './workflowIdHere.ts';

export interface DestinationCommands {
  readonly name: string;
  readonly commands: readonly {
    readonly command: ParsedDestinationCommand;
    readonly via: 'signal' | 'update';
    /** `park`: the batch it makes; the same when the activity runs again. */
    readonly batchId: string;
  }[];
}

export interface DestinationAnswer extends ResolutionAnswer {
  /** Workflows to be started. */
  readonly started: readonly SplitOff[];
}

const parkedAtOnce = 1_000;

/** Carries out commands to a destination, in the order they came; every outcome becomes a line in outbox.audit. */
export async function commandDestination(
  dependencies: ActivityDependencies,
  { name, commands }: DestinationCommands,
): Promise<DestinationAnswer[]> {
  return heartbeating(async () => {
    const answers: DestinationAnswer[] = [];
    for (const each of await withSenders(commands, dependencies.log))
      answers.push(await carryOut(dependencies, name, each));
    return answers;
  });
}

type Sent = DestinationCommands['commands'][number];

async function carryOut(
  dependencies: ActivityDependencies,
  name: string,
  sent: Sent,
): Promise<DestinationAnswer> {
  const { pool, log } = dependencies;
  const { command, via } = sent;
  const about = { destination: name, action: command.action, actor: command.actor, via };
  try {
    const answered = await carryOutInSql(pool, name, command, via);
    if (answered !== null) {
      log.info({ ...about, ...answered }, `command ${answered.outcome}`);
      return { ...answered, started: [] };
    }
    const { started, ...answer } = await (command.action === 'park' ? park : probe)(dependencies, name, sent);
    log.info({ ...about, ...answer }, `command ${answer.outcome}`);
    return { ...(await noteDestinationCommand(pool, name, command, via, answer)), started };
  } catch (error) {
    if (isOfServer(error)) throw error;
    // One command that SQL cannot take must not hold up those behind it.
    const message = `could not be carried out: ${error instanceof Error ? error.message : String(error)}`;
    log.error({ ...about, error: message }, 'command failed');
    return { outcome: 'refused', message, events: 0, started: [] };
  }
}

async function probe(dependencies: ActivityDependencies, name: string): Promise<DestinationAnswer> {
  const before = await lookAtDestination(dependencies, name);
  const { message, started } = await probeDestination(dependencies, name);
  const isHeld = before !== null && (before.paused || before.state !== 'closed');
  return { outcome: isHeld ? 'done' : 'refused', message, events: 0, started };
}

async function park(
  dependencies: ActivityDependencies,
  name: string,
  { command, batchId }: Sent,
): Promise<DestinationAnswer> {
  const { pool } = dependencies;
  const standing = await lookAtDestination(dependencies, name);
  if (standing?.paused !== true) {
    const message = `${name} is not paused; pause it first, so that nothing of it is sent meanwhile`;
    return { outcome: 'refused', message, events: 0, started: [] };
  }
  const olderThanMs = parseDuration(command.olderThan ?? '') ?? Number.NaN;
  while ((await parkPending(pool, name, batchId, olderThanMs, parkedAtOnce)) > 0) heartbeat();
  const events = await countBatch(pool, batchId);
  if (events === 0) {
    const message = `no pending event of ${name} is older than ${command.olderThan}`;
    return { outcome: 'done', message, events, started: [] };
  }
  const own = workflowIdHere();
  const workflowId = own.replace(/destination\/[^/]+$/, `deliver/${batchId}`);
  const message = `${events} parked in workflow ${workflowId}; send it retry to bring them back`;
  const holder: SplitOff = { workflowId, lane: name, eventId: null, eventType: null };
  return { outcome: 'done', message, events, started: [holder] };
}
