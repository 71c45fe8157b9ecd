import type { PacedAction } from '../../core/command.ts';
import { printable } from '../../core/printable.ts';
import { sendReplayCommand } from '../../replay/command.ts';
import type { ResolutionAnswer } from '../../storage/resolutions.ts';
import type { Output } from '../output.ts';
import { withServers } from '../servers.ts';
import { whoOf, type AnsweredOptions } from '../who.ts';
import { findReplay } from './status.ts';

/** `routes replay pause|resume|cancel`. Answers the exit code. */
export async function operate(
  out: Output,
  action: PacedAction,
  id: string,
  options: AnsweredOptions,
): Promise<0 | 1> {
  const { outcome, message } = await send(out, action, id, options);
  out.result({ action, id, outcome, message }, (colours) =>
    outcome === 'done'
      ? `${colours.green('done')} ${printable(message)}\n`
      : `${colours.red('refused')} ${printable(message)}\n`,
  );
  return outcome === 'done' ? 0 : 1;
}

export async function send(
  out: Output,
  action: PacedAction,
  id: string,
  options: AnsweredOptions,
): Promise<ResolutionAnswer> {
  return withServers(out, async (pool, reach) => {
    const replay = await findReplay(pool, id);
    const { temporal, name } = await reach();
    return sendReplayCommand(
      { db: pool, temporal, name, replay, waitMs: options.timeout },
      action,
      whoOf(options),
    );
  });
}
