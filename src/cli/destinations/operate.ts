import { sendDestinationCommand } from '../../circuit/command.ts';
import type { DestinationAction } from '../../core/command.ts';
import { printable } from '../../core/printable.ts';
import { readDestinations } from '../../storage/configuration.ts';
import { OutboxError } from '../../errors.ts';
import { knownNames } from '../knownDestination.ts';
import type { Output } from '../output.ts';
import { withServers } from '../servers.ts';
import { whoOf, type AnsweredOptions } from '../who.ts';

export interface DestinationCommandLine extends AnsweredOptions {
  readonly olderThan?: string;
}

/** `destinations pause|resume|probe|park`. Answers the exit code. */
export async function operate(
  out: Output,
  action: DestinationAction,
  destination: string,
  options: DestinationCommandLine,
): Promise<0 | 1> {
  const { outcome, message, events } = await withServers(out, async (pool, reach) => {
    const { destinations } = await readDestinations(pool);
    const config = destinations.find(({ name }) => name === destination);
    if (config === undefined) throw unknownDestination(destination, destinations);
    return sendDestinationCommand(
      { db: pool, ...(await reach()), destination, timeoutMs: config.timeoutMs, waitMs: options.timeout },
      action,
      { ...whoOf(options), ...(options.olderThan === undefined ? {} : { olderThan: options.olderThan }) },
    );
  });
  out.result({ action, destination, outcome, message, events }, (colours) =>
    outcome === 'done'
      ? `${colours.green('done')} ${printable(message)}\n`
      : `${colours.red('refused')} ${printable(message)}\n`,
  );
  return outcome === 'done' ? 0 : 1;
}

function unknownDestination(destination: string, known: readonly { readonly name: string }[]): OutboxError {
  return new OutboxError('OUTBOX_NOT_FOUND', `there is no destination ${destination}`, {
    hint: knownNames(
      destination,
      known.map(({ name }) => name),
    ),
  });
}
