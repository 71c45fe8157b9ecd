import type { Output } from '../output.ts';
import { whoOf } from '../who.ts';
import { bulk, isBulk, type BulkOptions } from './bulk.ts';

/** `dlq retry` and `dlq discard`: each of the ids by a command to its workflow, or what a filter matches. Answers the exit code. */
export async function each(
  out: Output,
  action: 'retry' | 'discard',
  ids: readonly number[],
  options: BulkOptions,
): Promise<0 | 1 | 3> {
  if (isBulk(action, ids, options)) return bulk(out, action, options);
  // After the mistakes: it loads Temporal, which takes its time.
  const { openOnes, reportAndWait, withOperator } = await import('./operate.ts');
  return withOperator(out, options.timeout, async (operator, pool) => {
    const { open, refused } = await openOnes(pool, ids);
    const sent = await operator.resolveDeadLetters(open, { action, ...whoOf(options) });
    return reportAndWait(out, action, [...refused, ...sent], { ...options, pool });
  });
}
