import { openOnes } from '../../deadletter/letters.ts';
import { createOperator, type Operator, type Resolved } from '../../deadletter/operator.ts';
import { printable } from '../../core/printable.ts';
import { errorCatalogue, isOutboxError } from '../../errors.ts';
import type { Pool } from '../../storage/connect.ts';
import type { DeadLetterTarget } from '../../storage/deadLetters.ts';
import type { Colours, Output } from '../output.ts';
import { shownState } from '../events/states.ts';
import type { DeliveryOutcome } from '../../storage/outcomes.ts';
import { withServers } from '../servers.ts';

/** For commands to the workflows that hold dead letters. */
export async function withOperator<T>(
  out: Output,
  timeoutMs: number,
  work: (operator: Operator, pool: Pool) => Promise<T>,
): Promise<T> {
  return withServers(out, async (pool, reach) =>
    work(await createOperator({ db: pool, timeoutMs, ...(await reach()) }), pool),
  );
}

export { openOnes };

type Became = ReadonlyMap<number, DeliveryOutcome | undefined>;

export function resultOf({ target, outcome, message, code, error }: Resolved) {
  const { id, eventId, destination, workflowId } = target;
  return { id, eventId, destination, workflowId, outcome, message, code: error?.code ?? code ?? null };
}

/** Says what came of it, and answers the exit code. */
export function reportResolved(
  out: Output,
  action: string,
  resolved: readonly Resolved[],
  became?: Became,
): 0 | 1 | 3 {
  const failed = resolved.filter(({ outcome }) => outcome !== 'done');
  const done = resolved.length - failed.length;
  const value = {
    action,
    matched: resolved.length,
    done,
    failed: failed.length,
    items: resolved.map((each) => ({
      ...resultOf(each),
      // With --wait: what the delivery stands at now.
      ...(became === undefined ? {} : { became: became.get(each.target.id)?.state ?? null }),
    })),
  };
  out.result(value, (colours) => {
    if (resolved.length === 0) return '';
    const lines = failed.map(
      ({ target, outcome, message }) =>
        `${(outcome === 'waiting' ? colours.yellow : colours.red)(outcome)} ${idText(target)}: ${printable(message)}\n`,
    );
    const [first] = resolved;
    const summary =
      resolved.length === 1 && first?.outcome === 'done'
        ? `${colours.green('done')} ${idText(first.target)}: ${printable(first.message)}\n`
        : `${done} of ${resolved.length} done\n`;
    const hints = new Set(
      failed.flatMap(({ error }) => (error?.hint === undefined ? [] : [`  ${printable(error.hint)}\n`])),
    );
    const text = [...lines, ...[...hints].map((hint) => colours.dim(hint))].join('');
    const after = resolved.map((each) => becameText(each, became, colours)).join('');
    return (resolved.length === 1 && done === 0 ? text : text + summary) + after;
  });
  return exitCodeOf(failed);
}

export interface WaitOptions {
  readonly pool: Pool;
  readonly wait?: boolean;
  /** How long at most, milliseconds. */
  readonly timeout: number;
  /** Where a redirected one went. */
  readonly to?: string;
}

/** As {@link reportResolved}; with `--wait` what became of those that were sent again, and 1 unless all were delivered. */
export async function reportAndWait(
  out: Output,
  action: string,
  resolved: readonly Resolved[],
  { pool, wait, timeout, to }: WaitOptions,
): Promise<0 | 1 | 3> {
  const sent = resolved.filter(({ outcome }) => outcome === 'done');
  if (wait !== true || sent.length === 0) return reportResolved(out, action, resolved);
  const { waitForOutcomes } = await import('./wait.ts');
  const followed = sent.map(({ target }) => ({ ...target, destination: to ?? target.destination }));
  const outcomes = await waitForOutcomes(pool, followed, timeout);
  const became = new Map(sent.map(({ target }, index) => [target.id, outcomes[index]]));
  const code = reportResolved(out, action, resolved, became);
  return outcomes.every(({ state }) => state === 'delivered' || state === 'gone') ? code : 1;
}

/** 3 when nothing but silence came back, 1 for anything refused. */
function exitCodeOf(failed: readonly Resolved[]): 0 | 1 | 3 {
  if (failed.length === 0) return 0;
  const isSilence = ({ error }: Resolved): boolean =>
    error !== undefined && isOutboxError(error) && errorCatalogue[error.code].exitCode === 3;
  return failed.every(isSilence) ? 3 : 1;
}

function becameText({ target }: Resolved, became: Became | undefined, colours: Colours): string {
  const now = became?.get(target.id);
  if (now === undefined) return '';
  const where = `event ${now.eventId} (${now.destination})`;
  const said = now.said === null ? '' : `: ${printable(now.said)}`;
  if (now.state === 'delivered') return `${colours.green('delivered')} ${where}\n`;
  if (now.state === 'gone') return `${colours.green('settled')} ${where}: nothing is kept of it\n`;
  if (now.state === 'parked') return `${colours.red('parked again')} ${where}${said}\n`;
  return `${colours.yellow(`still ${shownState(now.state)}`)} ${where}${said}\n`;
}

function idText({ id, destination }: DeadLetterTarget): string {
  return `dead letter ${id} (${destination})`;
}
