import type { Operator, Resolution, Resolved } from '../../deadletter/operator.ts';
import type { Pool } from '../../storage/connect.ts';
import {
  countDeadLetters,
  listDeadLetters,
  type DeadLetterFilter,
  type DeadLetterTarget,
} from '../../storage/deadLetters.ts';
import { refuseUsage } from '../failure.ts';
import { refuseUnknownDestination } from '../knownDestination.ts';
import type { Output } from '../output.ts';
import { whoOf, type WhoOptions } from './who.ts';

export interface BulkOptions extends WhoOptions {
  readonly destination?: string;
  readonly type?: string;
  readonly parkedFor?: string;
  readonly cause?: string;
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly wait?: boolean;
}

type BulkAction = 'retry' | 'discard';

/** `dlq retry` and `dlq discard`: of ids, or of what a filter matches. Answers the exit code. */
export async function bulk(
  out: Output,
  action: BulkAction,
  ids: readonly number[],
  options: BulkOptions,
): Promise<0 | 1 | 3> {
  const filter = filterOf(options);
  refuseUnclear(action, ids, filter, options);
  const resolution: Resolution = { action, ...whoOf(options) };
  // After the mistakes: it loads Temporal, which takes its time.
  const { openOnes, reportAndWait, withOperator } = await import('./operate.ts');
  const report = (pool: Pool, resolved: readonly Resolved[]): Promise<0 | 1 | 3> =>
    reportAndWait(out, action, resolved, { ...options, pool });
  return withOperator(out, options.timeout, async (operator, pool) => {
    if (filter === undefined) {
      const { open, refused } = await openOnes(pool, ids);
      return report(pool, [...refused, ...(await send(out, operator, open, resolution))]);
    }
    const count = await countMatches(pool, filter);
    if (count === 0) out.note('no open dead letters match: nothing was done');
    else refuseUnconfirmed(action, count, options);
    const targets = await collect(pool, filter);
    return report(pool, await send(out, operator, targets, resolution));
  });
}

/** Undefined when no filter was given. `--all` is the filter that matches everything open. */
function filterOf({ destination, type, parkedFor, cause, all }: BulkOptions): DeadLetterFilter | undefined {
  const fields = {
    ...(destination === undefined ? {} : { destination }),
    ...(type === undefined ? {} : { type }),
    ...(parkedFor === undefined ? {} : { reason: parkedFor }),
    ...(cause === undefined ? {} : { cause }),
  };
  if (Object.keys(fields).length === 0 && all !== true) return undefined;
  return { status: 'open', ...fields };
}

function refuseUnclear(
  action: BulkAction,
  ids: readonly number[],
  filter: DeadLetterFilter | undefined,
  options: BulkOptions,
): void {
  const named = ids.length > 0;
  if (named && filter !== undefined) refuseUsage('give ids or a filter, not both');
  if (!named && filter === undefined) {
    refuseUsage(
      `${action} what?`,
      `dlq ${action} ID…, or a filter: --destination, --type, --parked-for, --cause, or --all; with --yes.`,
    );
  }
  if (options.all === true && filter !== undefined && Object.keys(filter).length > 1)
    refuseUsage('--all and a filter contradict each other');
  if (action === 'discard' && (filter !== undefined || ids.length > 1) && options.reason === undefined)
    refuseUsage('to discard more than one, say why: --reason "…"');
}

function refuseUnconfirmed(action: BulkAction, count: number, { yes }: BulkOptions): void {
  if (yes === true) return;
  refuseUsage(
    `this would ${action} ${count} dead letter${count === 1 ? '' : 's'}; nothing was done`,
    'Add --yes to do it.',
  );
}

async function countMatches(pool: Pool, filter: DeadLetterFilter): Promise<number> {
  const count = await countDeadLetters(pool, filter);
  if (count === 0) await refuseUnknownDestination(pool, filter.destination);
  return count;
}

/** Ids only; what is parked meanwhile is not among them. */
async function collect(pool: Pool, filter: DeadLetterFilter): Promise<DeadLetterTarget[]> {
  const pageSize = 1000;
  const targets: DeadLetterTarget[] = [];
  let before: number | null = null;
  for (;;) {
    const page: DeadLetterTarget[] = await listDeadLetters(pool, filter, before, pageSize);
    targets.push(
      ...page.map(({ id, eventId, destination, workflowId }) => ({ id, eventId, destination, workflowId })),
    );
    before = page.at(-1)?.id ?? null;
    // Oldest first: they have waited longest.
    if (page.length < pageSize) return targets.reverse();
  }
}

const progressEveryMs = 2_000;

async function send(
  out: Output,
  operator: Operator,
  targets: readonly DeadLetterTarget[],
  resolution: Resolution,
): Promise<Resolved[]> {
  let done = 0;
  let saidAt = Date.now();
  return operator.resolveDeadLetters(targets, resolution, () => {
    done += 1;
    if (targets.length === 1 || Date.now() - saidAt < progressEveryMs) return;
    saidAt = Date.now();
    out.note(`${done} of ${targets.length} answered`);
  });
}
