import type { MessageAction, ParsedCommand, PacedAction, ResolutionAction } from '../src/core/command.ts';
import { failpoint } from '../src/failpoints.ts';
import { isOfServer } from '../src/storage/errors.ts';
import type { ResolutionAnswer } from '../src/storage/resolutions.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { heartbeating } from './heartbeating.ts';
import { withSenders } from './senders.ts';
import { wake } from './wake.ts';
import { workflowIdHere } from './workflowIdHere.ts';

export interface SentCommand<Action extends string = ResolutionAction> {
  readonly command: ParsedCommand<Action>;
  readonly via: 'signal' | 'update';
}

type AnyAction = ResolutionAction | MessageAction | PacedAction;

/** Writes one command's outcome, refusals too, and answers it. */
type Write<Action extends AnyAction> = (
  db: ActivityDependencies['pool'],
  workflowId: string,
  command: ParsedCommand<Action>,
  via: string,
) => Promise<ResolutionAnswer>;

/** Carries resolutions out in SQL, in the order they came; every outcome becomes a line in outbox.audit. */
export async function carryOut<Action extends AnyAction>(
  dependencies: ActivityDependencies,
  commands: readonly SentCommand<Action>[],
  write: Write<Action>,
): Promise<ResolutionAnswer[]> {
  const workflowId = workflowIdHere();
  return heartbeating(async () => {
    const answers: ResolutionAnswer[] = [];
    for (const { command, via } of await withSenders(commands, dependencies.log)) {
      answers.push(await carryOutOne(dependencies, workflowId, command, via, write));
    }
    return answers;
  });
}

async function carryOutOne<Action extends AnyAction>(
  dependencies: ActivityDependencies,
  workflowId: string,
  command: ParsedCommand<Action>,
  via: string,
  write: Write<Action>,
): Promise<ResolutionAnswer> {
  const answer = await writeOne(dependencies, workflowId, command, via, write);
  // Where Temporal does not answer, the activity is tried again: a command acts once, and its answer names them again.
  for (const other of answer.sentOn ?? []) await wake(other);
  return answer;
}

async function writeOne<Action extends AnyAction>(
  { pool, log, telemetry }: ActivityDependencies,
  workflowId: string,
  command: ParsedCommand<Action>,
  via: string,
  write: Write<Action>,
): Promise<ResolutionAnswer> {
  const { action, actor, reason } = command;
  const about = { workflowId, action, actor, reason, via };
  await failpoint('before-resolve');
  try {
    const answer = await write(pool, workflowId, command, via);
    await failpoint('after-resolve');
    telemetry.resolved(action, answer.outcome);
    log.info({ ...about, ...answer }, `resolution ${answer.outcome}`);
    return answer;
  } catch (error) {
    if (isOfServer(error)) throw error;
    // One command that SQL cannot take (a payload with NUL in it, say) must not hold up those behind it.
    const message = error instanceof Error ? error.message : String(error);
    telemetry.resolved(action, 'refused');
    log.error({ ...about, error: message }, 'resolution failed');
    const refused = refusalOf(command, `could not be carried out: ${message}`);
    return write(pool, workflowId, refused, via);
  }
}

/** Noted as any other refusal, without what made it fail. */
function refusalOf<Action extends AnyAction>(
  { action, actor, reason, commandId, sender }: ParsedCommand<Action>,
  malformed: string,
): ParsedCommand<Action> {
  const known = Object.entries({ actor, reason, commandId, sender }).filter(
    ([, value]) => value !== undefined,
  );
  return { action, ...Object.fromEntries(known), malformed };
}
