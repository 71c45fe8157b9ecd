import { destinationWorkflowId } from '../../core/ids.ts';
import { readSettings } from '../../storage/configuration.ts';
import { countDeliveries, readLanes, type LaneStanding } from '../../storage/status.ts';
import { withDatabase } from '../database.ts';
import type { Colours, Output } from '../output.ts';
import { shortTime } from '../spokenTime.ts';
import { printable } from '../../core/printable.ts';
import { cut, table } from '../table.ts';

interface ListedDestination {
  readonly destination: string;
  readonly state: 'closed' | 'open' | 'half-open' | 'paused';
  readonly since: string | null;
  readonly reason: string | null;
  readonly nextProbeAt: string | null;
  /** Until when the receiver itself asked not to be called. */
  readonly waitUntil: string | null;
  readonly pending: number;
  /** The workflow that takes its commands; it runs only while the destination is paused or its circuit is not closed. */
  readonly workflowId: string;
}

/** `destinations list` */
export async function list(out: Output): Promise<void> {
  const items = await withDatabase(async (pool) => {
    const [{ name }, lanes, counts] = await Promise.all([
      readSettings(pool),
      readLanes(pool),
      countDeliveries(pool),
    ]);
    const pending = new Map(counts.map((count) => [count.destination, count.pending]));
    return lanes.map((lane) => listed(lane, name, pending.get(lane.destination) ?? 0));
  });
  out.result({ items }, (colours) => listText(items, colours));
}

function listed(lane: LaneStanding, name: string | null, pending: number): ListedDestination {
  const { destination, paused, circuit, since, nextProbeAt, waitUntil } = lane;
  return {
    destination,
    state: paused ? 'paused' : circuit,
    since: paused || circuit !== 'closed' ? since : null,
    reason: paused ? lane.pausedReason : lane.circuitReason,
    nextProbeAt: paused ? null : nextProbeAt,
    waitUntil: paused ? null : waitUntil,
    pending,
    workflowId: destinationWorkflowId(name, destination),
  };
}

function reasonOf({ reason, waitUntil }: ListedDestination): string {
  if (reason !== null || waitUntil === null) return reason ?? '';
  return `it asked for time until ${shortTime(waitUntil)}`;
}

function listText(items: readonly ListedDestination[], colours: Colours): string {
  if (items.length === 0) return 'no destinations\n';
  const stateText = ({ state }: ListedDestination): string => {
    if (state === 'closed') return colours.green('closed');
    return state === 'open' ? colours.red(state) : colours.yellow(state);
  };
  const time = (at: string | null): string => (at === null ? '-' : shortTime(at));
  return table(
    [
      { title: 'DESTINATION', value: ({ destination }) => destination },
      { title: 'STATE', value: stateText },
      { title: 'PENDING', align: 'right', value: ({ pending }) => String(pending) },
      { title: 'SINCE', value: ({ since }) => time(since) },
      { title: 'NEXT PROBE', value: ({ nextProbeAt }) => time(nextProbeAt) },
      { title: 'REASON', value: (item) => cut(printable(reasonOf(item)), 80) },
    ],
    items,
    colours,
  );
}
