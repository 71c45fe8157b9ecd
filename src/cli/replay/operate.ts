import type { PacedAction } from '../../core/command.ts';
import { printable } from '../../core/printable.ts';
import { sendReplayCommand } from '../../replay/command.ts';
import { readSettings } from '../../storage/configuration.ts';
import type { ResolutionAnswer } from '../../storage/resolutions.ts';
import { inspectNamespace } from '../../temporal/namespace.ts';
import { withDatabase } from '../database.ts';
import { whoOf, type WhoOptions } from '../dlq/who.ts';
import { otherNamespace } from '../namespace.ts';
import type { Output } from '../output.ts';
import { connectForCommand } from '../temporal.ts';
import { findReplay } from './status.ts';

/** `routes replay pause|resume|cancel`. Answers the exit code. */
export async function operate(
  out: Output,
  action: PacedAction,
  id: string,
  options: WhoOptions,
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
  options: WhoOptions,
): Promise<ResolutionAnswer> {
  return withDatabase(async (pool) => {
    const replay = await findReplay(pool, id);
    const temporal = await connectForCommand(out);
    try {
      const { name, temporalNamespaceId } = await readSettings(pool);
      const namespace = await inspectNamespace(temporal);
      if (temporalNamespaceId !== null && temporalNamespaceId !== namespace.id)
        throw otherNamespace(temporal.address);
      return await sendReplayCommand(
        { temporal, name, replay, waitMs: options.timeout },
        action,
        whoOf(options),
      );
    } finally {
      await temporal.close();
    }
  });
}
