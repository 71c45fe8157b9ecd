import type { PacedAction } from '../../core/command.ts';
import type { Output } from '../output.ts';
import { whoOf, type WhoOptions } from '../who.ts';
import { withRedrivesAndTemporal } from './place.ts';
import { endOf } from './text.ts';

/** `redrive pause`, `resume` and `cancel` */
export async function command(
  out: Output,
  action: PacedAction,
  id: number,
  options: WhoOptions,
): Promise<void> {
  const redrive = await withRedrivesAndTemporal(out, ({ redrives }) => redrives[action](id, whoOf(options)));
  out.result(redrive, (colours) => endOf(redrive, colours));
}
