import type { PacedAction } from '../../core/command.ts';
import type { Output } from '../output.ts';
import { actorOf } from './ask.ts';
import { withRedrivesAndTemporal } from './place.ts';
import { endOf } from './text.ts';

export interface CommandOptions {
  readonly actor?: string;
  readonly reason?: string;
}

/** `redrive pause`, `resume` and `cancel` */
export async function command(
  out: Output,
  action: PacedAction,
  id: number,
  options: CommandOptions,
): Promise<void> {
  const who = {
    actor: actorOf(options),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  };
  const redrive = await withRedrivesAndTemporal(out, (redrives) => redrives[action](id, who));
  out.result(redrive, (colours) => endOf(redrive, colours));
}
