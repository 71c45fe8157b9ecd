import { OutboxError } from '../../errors.ts';
import type { Pool } from '../../storage/connect.ts';
import { eraseEvents, eventsOfKey, type Erased } from '../../storage/erase.ts';
import { withDatabase } from '../database.ts';
import { counted } from '../../core/counted.ts';
import { refuseUsage } from '../failure.ts';
import type { Output } from '../output.ts';
import { systemUser } from '../../core/systemUser.ts';
import { connectForCommand } from '../temporal.ts';

export interface EraseOptions {
  readonly event?: readonly string[];
  readonly key?: string;
  readonly reason?: string;
  readonly actor?: string;
  readonly yes?: boolean;
}

/** Each portion is a transaction: stopped half-way, what was erased stays erased, and again goes on with the rest. */
const portion = 100;

/** `erase`: payload, headers, key, edits and answers of events; the audit stays. */
export async function erase(out: Output, options: EraseOptions): Promise<void> {
  const { event = [], key } = options;
  if ((event.length === 0) === (key === undefined))
    refuseUsage('name events or a key: --event ID… or --key KEY');
  if (event.length > 0 && options.yes !== true && process.stdin.isTTY === true)
    refuseUsage(
      `this would erase ${event.length === 1 ? 'one event' : `${event.length} events`} for good; nothing was done`,
      'Add --yes to do it.',
    );
  const who = { actor: options.actor ?? systemUser(), reason: options.reason ?? null };
  await withDatabase(
    async (pool) => {
      const ids = key === undefined ? event : await idsOf(out, pool, key, options.yes === true);
      const sum: Mutable<Erased> = { erased: [], unknown: [], deliveries: [], messages: [], workflows: [] };
      for (let at = 0; at < ids.length; at += portion) {
        const answer = await eraseEvents(pool, ids.slice(at, at + portion), who);
        sum.erased.push(...answer.erased);
        sum.unknown.push(...answer.unknown);
        sum.deliveries.push(...answer.deliveries);
        sum.messages.push(...answer.messages);
        sum.workflows.push(...answer.workflows);
      }
      if (sum.workflows.length > 0) await tell(out, sum.workflows);
      if (sum.erased.length === 0 && sum.unknown.length > 0) throw unknownEvents(sum.unknown);
      for (const id of sum.unknown) out.warn(`nothing is known of event ${id}`);
      const { erased, unknown, deliveries, messages } = sum;
      out.result({ erased, unknown, deliveries, messages }, (colours) => {
        const what = erased.length === 1 ? `event ${erased[0]}` : `${erased.length} events`;
        const dropped = deliveries.length === 0 ? '' : `; ${deliveries.length} unsettled deliveries dropped`;
        const open = messages.length === 0 ? '' : `; ${messages.length} open half messages rolled back`;
        return `${colours.green('erased')} ${what}${dropped}${open}\n`;
      });
    },
    { patient: out },
  );
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : T[K] };

async function idsOf(out: Output, pool: Pool, key: string, confirmed: boolean): Promise<string[]> {
  const ids = await eventsOfKey(pool, key);
  if (ids.length === 0) out.note('no events have this key: nothing was done');
  else if (!confirmed)
    refuseUsage(`this would erase ${counted(ids.length, 'event')}; nothing was done`, 'Add --yes to do it.');
  return ids;
}

/** Their workflows wait for rows that are gone. Untold, they are told by the next pass of housekeeping. */
async function tell(out: Output, workflows: readonly string[]): Promise<void> {
  try {
    const temporal = await connectForCommand(out);
    try {
      for (const id of workflows) {
        await temporal.client.workflow
          .getHandle(id)
          .signal('recheck')
          .catch(() => undefined);
      }
    } finally {
      await temporal.close();
    }
  } catch {
    out.warn('Temporal cannot be reached: the workflows of what was erased end with the next housekeeping');
  }
}

function unknownEvents(ids: readonly string[]): OutboxError {
  return new OutboxError(
    'OUTBOX_NOT_FOUND',
    ids.length === 1
      ? `nothing is known of event ${ids[0]}`
      : `nothing is known of these ${ids.length} events`,
    { hint: 'Look for the id in your own tables or logs; send and enqueue print it.' },
  );
}
