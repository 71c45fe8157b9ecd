import { sendDestinationCommand } from '../../circuit/command.ts';
import type { DestinationAction } from '../../core/command.ts';
import { printable } from '../../core/printable.ts';
import { readDestinations, readSettings } from '../../storage/configuration.ts';
import { OutboxError } from '../../errors.ts';
import { inspectNamespace } from '../../temporal/namespace.ts';
import { withDatabase } from '../database.ts';
import { whoOf, type WhoOptions } from '../dlq/who.ts';
import { knownNames } from '../knownDestination.ts';
import { otherNamespace } from '../namespace.ts';
import type { Output } from '../output.ts';
import { connectForCommand } from '../temporal.ts';

export interface DestinationCommandLine extends WhoOptions {
  readonly olderThan?: string;
}

/** `destinations pause|resume|probe|park`. Answers the exit code. */
export async function operate(
  out: Output,
  action: DestinationAction,
  destination: string,
  options: DestinationCommandLine,
): Promise<0 | 1> {
  const { outcome, message, events } = await withDatabase(async (pool) => {
    const { destinations } = await readDestinations(pool);
    const config = destinations.find(({ name }) => name === destination);
    if (config === undefined) throw unknownDestination(destination, destinations);
    const temporal = await connectForCommand(out);
    try {
      const { name, temporalNamespaceId } = await readSettings(pool);
      const { id, hasSearchAttributes } = await inspectNamespace(temporal);
      if (temporalNamespaceId !== null && temporalNamespaceId !== id) throw otherNamespace(temporal.address);
      const { timeoutMs } = config;
      return await sendDestinationCommand(
        {
          temporal,
          name,
          destination,
          timeoutMs,
          searchAttributes: hasSearchAttributes,
          waitMs: options.timeout,
        },
        action,
        { ...whoOf(options), ...(options.olderThan === undefined ? {} : { olderThan: options.olderThan }) },
      );
    } finally {
      await temporal.close();
    }
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
