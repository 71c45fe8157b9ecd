import { OutboxError } from '../../errors.ts';
import { readDestinations } from '../../storage/configuration.ts';
import { knownNames } from '../knownDestination.ts';
import type { Output } from '../output.ts';
import { whoOf } from '../who.ts';
import { bulk, isBulk, type BulkOptions } from './bulk.ts';

export interface RedirectOptions extends BulkOptions {
  readonly to: string;
}

/** `dlq redirect`: one by its number, or what a filter matches. Answers the exit code. */
export async function redirect(
  out: Output,
  id: number | undefined,
  options: RedirectOptions,
): Promise<0 | 1 | 3> {
  const ids = id === undefined ? [] : [id];
  if (isBulk('redirect', ids, options)) return bulk(out, 'redirect', options);
  const { openOnes, reportAndWait, withOperator } = await import('./operate.ts');
  return withOperator(out, options.timeout, async (operator, pool) => {
    const { destinations } = await readDestinations(pool);
    const names = destinations.map(({ name }) => name);
    if (!names.includes(options.to)) {
      throw new OutboxError('OUTBOX_NOT_FOUND', `there is no destination ${options.to}`, {
        hint: knownNames(options.to, names),
      });
    }
    const { open, refused } = await openOnes(pool, ids);
    const resolution = { action: 'redirect', ...whoOf(options), to: options.to } as const;
    const sent = await operator.resolveDeadLetters(open, resolution);
    return reportAndWait(out, 'redirect', [...refused, ...sent], { ...options, pool });
  });
}
