import { randomUUID } from 'node:crypto';
import { replayWorkflowId } from '../../core/ids.ts';
import { planReplay, type ReplayRequest } from '../../core/replay.ts';
import { readSettings } from '../../storage/configuration.ts';
import { freezeReplay } from '../../storage/replays.ts';
import { withDatabase } from '../database.ts';
import { refuseUsage } from '../failure.ts';
import type { Output } from '../output.ts';
import { whoOf, type AnsweredOptions } from '../who.ts';
import { previewText } from './text.ts';

export interface ReplayOptions extends AnsweredOptions, ReplayRequest {
  readonly yes?: boolean;
}

/** `routes replay`: freezes the events and shows them; with `--yes` it begins. Answers the exit code. */
export async function start(
  out: Output,
  { yes, reason, actor, timeout, ...request }: ReplayOptions,
): Promise<0 | 1> {
  const { json: _json, ...given } = request as ReplayRequest & { json?: boolean };
  const plan = planReplay(given, Date.now());
  if (typeof plan === 'string') refuseUsage(plan.replace('"all": true', '--all'));
  const id = randomUUID();
  const who = whoOf({
    ...(reason === undefined ? {} : { reason }),
    ...(actor === undefined ? {} : { actor }),
  });
  const standing = await withDatabase(
    async (pool) => {
      const { name } = await readSettings(pool);
      return freezeReplay(pool, id, replayWorkflowId(name, id), plan, who.actor);
    },
    { patient: out },
  );
  if (typeof standing === 'string') refuseUsage(standing);
  if (yes !== true || standing.total === 0) {
    out.result({ ...standing, count: standing.total }, (colours) => previewText(standing, colours));
    return 0;
  }
  const { send } = await import('./operate.ts');
  const { outcome, message } = await send(out, 'resume', id, { ...who, timeout });
  out.result({ ...standing, state: 'running', count: standing.total, outcome, message }, (colours) =>
    outcome === 'done'
      ? `${colours.green('begun')} ${standing.total} events at ${standing.rate} a second\nfollow it: temporal-outbox routes replay status ${id} --watch\n`
      : `${colours.red('refused')} ${message}\n`,
  );
  return outcome === 'done' ? 0 : 1;
}
