/** `inbox parked retry`, `discard` and `edit`: each acts once, and is written down. */
import { printable } from '../../core/printable.ts';
import { isOutboxError } from '../../errors.ts';
import { resolveParked, type Resolution } from '../../inbox/parked.ts';
import { withConsumer, type InboxOptions } from '../commands/inbox.ts';
import { refuseUsage } from '../failure.ts';
import type { Output } from '../output.ts';
import { readPayloadGiven, type AnyPayloadSource } from '../payloadGiven.ts';
import { whoOf, type WhoOptions } from '../who.ts';

export interface ParkedResolveOptions extends InboxOptions, WhoOptions {}

export interface ParkedEditOptions extends ParkedResolveOptions, AnyPayloadSource {
  readonly header?: Readonly<Record<string, string>>;
}

const said = {
  retry: 'retries: a running consumer of its name takes it, and its policy begins anew',
  edit: 'edited, and retries: a running consumer of its name takes it',
  discard: 'discarded: it has no effect any more',
} as const;

export async function parkedResolve(
  out: Output,
  action: 'retry' | 'discard',
  ids: readonly string[],
  options: ParkedResolveOptions,
): Promise<0 | 1> {
  if (action === 'discard' && ids.length > 1 && options.reason === undefined)
    refuseUsage('several are discarded only with --reason');
  return resolve(out, ids, { action, ...whoOf(options) }, options);
}

export async function parkedEdit(out: Output, id: string, options: ParkedEditOptions): Promise<0 | 1> {
  const payload = await readPayloadGiven(options, 'ignore');
  if (payload === undefined && options.header === undefined)
    refuseUsage('nothing to change', 'Give --payload, --file, --payload-file, --payload-base64 or --header.');
  const body =
    payload === undefined
      ? {}
      : { body: 'payloadText' in payload ? Buffer.from(payload.payloadText) : payload.payloadBytes };
  const headers = options.header === undefined ? {} : { headers: options.header };
  return resolve(out, [id], { action: 'edit', ...whoOf(options), ...body, ...headers }, options);
}

async function resolve(
  out: Output,
  ids: readonly string[],
  resolution: Resolution,
  options: InboxOptions,
): Promise<0 | 1> {
  let refused = 0;
  await withConsumer(out, options, async (pool) => {
    const results: { id: string; outcome: 'done' | 'refused'; message: string }[] = [];
    for (const id of ids) {
      try {
        await resolveParked(pool, id, resolution);
        results.push({ id, outcome: 'done', message: said[resolution.action] });
      } catch (error) {
        if (!isOutboxError(error) || error.code !== 'OUTBOX_COMMAND_REFUSED') throw error;
        refused++;
        results.push({ id, outcome: 'refused', message: error.message });
      }
    }
    out.result({ results }, () =>
      results.map(({ id, message }) => `${id}: ${printable(message)}\n`).join(''),
    );
  });
  return refused === 0 ? 0 : 1;
}
