import { findMissedEvents, routeMissedEvents } from '../../storage/missedEvents.ts';
import { withDatabase } from '../database.ts';
import type { Output } from '../output.ts';
import { systemUser } from '../../core/systemUser.ts';
import { printable } from '../../core/printable.ts';

export interface RouteMissedCommand {
  readonly dryRun?: boolean;
  readonly actor?: string;
  readonly reason?: string;
}

const lookForMs = 50_000;

/** `routes route-missed` */
export async function routeMissed(out: Output, { dryRun, actor, reason }: RouteMissedCommand): Promise<void> {
  await withDatabase(async (pool) => {
    if (dryRun === true) {
      const missed = await findMissedEvents(pool, lookForMs);
      out.result(missed, () =>
        missed.since === null
          ? `${unknowable}\n`
          : `${missed.events} events since ${missed.since}${missed.complete ? '' : ' (looked no further back)'}\n` +
            missed.byType.map(({ type, events }) => `  ${printable(type)}  ${events}\n`).join(''),
      );
      return;
    }
    const known = await findMissedEvents(pool, 0);
    const done = await routeMissedEvents(pool, {
      actor: actor ?? systemUser(),
      reason: reason ?? null,
      onPortion: ({ events }) => out.note(`routed ${events} events …`),
    });
    if (known.complete && known.since === null) out.warn(unknowable);
    if (done.refused > 0)
      out.warn(
        `${done.refused} events were left: their dedup key names another event, by which they were written before`,
      );
    out.result(done, () => `${done.events} events routed, ${done.deliveries} deliveries\n`);
  });
}

const unknowable =
  'with retention.delivered 0 nothing tells a missed event from a delivered one: nothing is routed';
