import type { ResolutionAction } from '../../core/command.ts';
import { refuseUsage } from '../failure.ts';
import type { Output } from '../output.ts';
import { start } from '../redrive/ask.ts';
import { filtersGiven, type RequestOptions } from '../redrive/options.ts';

export interface BulkOptions extends RequestOptions {
  readonly yes?: boolean;
  readonly wait?: boolean;
  /** How long to wait at most, milliseconds. */
  readonly timeout: number;
}

/**
 * Whether a command that names `ids` or a filter means a redrive of what the filter matches.
 * @throws OutboxError OUTBOX_USAGE when it is not clear which
 */
export function isBulk(action: ResolutionAction, ids: readonly number[], options: BulkOptions): boolean {
  const given = filtersGiven(options);
  if (ids.length > 0 && given.length > 0) refuseUsage('give ids or a filter, not both');
  if (ids.length === 0 && given.length === 0) {
    refuseUsage(
      `${action} what?`,
      `dlq ${action} ${action === 'edit' || action === 'redirect' ? 'ID' : 'ID…'}, or a filter: --destination, --type, --parked-for, --cause, …, or --all; with --yes.`,
    );
  }
  if (options.all === true && given.length > 1) refuseUsage('--all and a filter contradict each other');
  if (action === 'discard' && (given.length > 0 || ids.length > 1) && options.reason === undefined)
    refuseUsage('to discard more than one, say why: --reason "…"');
  return given.length > 0;
}

/** A redrive of what a filter matches: frozen, a canary first, at a pace. Answers the exit code. */
export async function bulk(out: Output, action: ResolutionAction, options: BulkOptions): Promise<0 | 1> {
  const { wait = false, ...request } = options;
  return start(out, undefined, { ...request, action, follow: wait });
}
