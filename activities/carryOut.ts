import { activityInfo, heartbeat } from '@temporalio/activity';
import type { ParsedCommand } from '../src/core/command.ts';
import { failpoint } from '../src/failpoints.ts';
import { isTransient } from '../src/storage/errors.ts';
import { resolve, type ResolutionAnswer } from '../src/storage/resolutions.ts';
import type { ActivityDependencies } from './dependencies.ts';

export interface SentCommand {
  readonly command: ParsedCommand;
  readonly via: 'signal' | 'update';
}

/** Carries resolutions out in SQL, in the order they came; every outcome becomes a line in outbox.audit. */
export async function carryOut(
  dependencies: ActivityDependencies,
  commands: readonly SentCommand[],
): Promise<ResolutionAnswer[]> {
  const workflowId = activityInfo().workflowExecution?.workflowId ?? '';
  const beat = setInterval(() => heartbeat(), 2_000);
  const answers: ResolutionAnswer[] = [];
  try {
    for (const { command, via } of commands) {
      answers.push(await carryOutOne(dependencies, workflowId, command, via));
    }
    return answers;
  } finally {
    clearInterval(beat);
  }
}

async function carryOutOne(
  { pool, log, telemetry }: ActivityDependencies,
  workflowId: string,
  command: ParsedCommand,
  via: string,
): Promise<ResolutionAnswer> {
  const { action, actor, reason } = command;
  const about = { workflowId, action, actor, reason, via };
  await failpoint('before-resolve');
  try {
    const answer = await resolve(pool, workflowId, command, via);
    await failpoint('after-resolve');
    telemetry.resolved(action, answer.outcome);
    log.info({ ...about, ...answer }, `resolution ${answer.outcome}`);
    return answer;
  } catch (error) {
    if (isTransient(error)) throw error;
    // One command that SQL cannot take (a payload with NUL in it, say) must not hold up those behind it.
    const message = error instanceof Error ? error.message : String(error);
    telemetry.resolved(action, 'refused');
    log.error({ ...about, error: message }, 'resolution failed');
    return refuse(pool, workflowId, command, via, `could not be carried out: ${message}`);
  }
}

/** Notes the refusal as any other, without what made it fail. */
async function refuse(
  pool: ActivityDependencies['pool'],
  workflowId: string,
  { action, actor, reason, commandId }: ParsedCommand,
  via: string,
  malformed: string,
): Promise<ResolutionAnswer> {
  const known = Object.entries({ actor, reason, commandId }).filter(([, value]) => value !== undefined);
  return resolve(pool, workflowId, { action, ...Object.fromEntries(known), malformed }, via);
}
