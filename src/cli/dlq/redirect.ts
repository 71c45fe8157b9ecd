import { OutboxError } from '../../errors.ts';
import { readDestinations } from '../../storage/configuration.ts';
import { knownNames } from '../knownDestination.ts';
import type { Output } from '../output.ts';
import { openOnes, reportAndWait, withOperator } from './operate.ts';
import { whoOf, type WhoOptions } from './who.ts';

export interface RedirectOptions extends WhoOptions {
  readonly to: string;
  readonly wait?: boolean;
}

/** `dlq redirect` */
export async function redirect(out: Output, id: number, options: RedirectOptions): Promise<0 | 1 | 3> {
  return withOperator(out, options.timeout, async (operator, pool) => {
    const { destinations } = await readDestinations(pool);
    const names = destinations.map(({ name }) => name);
    if (!names.includes(options.to)) {
      throw new OutboxError('OUTBOX_NOT_FOUND', `there is no destination ${options.to}`, {
        hint: knownNames(options.to, names),
      });
    }
    const { open, refused } = await openOnes(pool, [id]);
    const resolution = { action: 'redirect', ...whoOf(options), to: options.to } as const;
    const sent = await operator.resolveDeadLetters(open, resolution);
    return reportAndWait(out, 'redirect', [...refused, ...sent], { ...options, pool });
  });
}
