import { describeDuration } from '../../core/duration.ts';
import { problemsOf, watchDefaults, type WatchLimits, type WatchProblem } from '../../core/watch.ts';
import { readLaneStandings } from '../../storage/standing.ts';
import { countDeliveries, countUnrouted, readRelays } from '../../storage/status.ts';
import type { Pool } from '../../storage/connect.ts';
import { withDatabase } from '../database.ts';
import type { Output } from '../output.ts';

/** `status --check`: one line, 0 or 1, as monitors ask for it. */
export async function checkStatus(out: Output, given: Partial<WatchLimits>): Promise<0 | 1> {
  const limits = { ...watchDefaults, ...given };
  const watched = await withDatabase(readWatched);
  const problems = problemsOf(watched, limits);
  const ok = problems.length === 0;
  const { destinations } = watched;
  out.result({ ok, problems, destinations, unrouted: watched.unrouted, relays: watched.relays }, (colours) =>
    ok
      ? `${colours.green('OK')}: ${destinations.length} destinations, lag ${spoken(Math.max(0, ...destinations.map(({ lagMs }) => lagMs)))}, ${sumOf(destinations.map(({ parked }) => parked))} parked\n`
      : `${colours.red('CRITICAL')}: ${inWords(problems)}\n`,
  );
  return ok ? 0 : 1;
}

async function readWatched(pool: Pool) {
  const [lanes, counts, unrouted, relays] = await Promise.all([
    readLaneStandings(pool),
    countDeliveries(pool),
    countUnrouted(pool, 1_000_000),
    readRelays(pool),
  ]);
  const byName = new Map(lanes.map((lane) => [lane.destination, lane]));
  return {
    destinations: counts.map(({ destination, parked, retrying }) => ({
      destination,
      lagMs: Math.round((byName.get(destination)?.lagSeconds ?? 0) * 1000),
      parked,
      retrying,
      paused: byName.get(destination)?.paused === true,
    })),
    unrouted: sumOf(unrouted.map(({ events }) => events)),
    relays: relays.length,
  };
}

/** The worst of a thousand destinations must still fit a line. */
const shownMax = 5;

function inWords(problems: readonly WatchProblem[]): string {
  const shown = problems.slice(0, shownMax).map(describe);
  const more = problems.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

function describe({ what, destination, value, limit }: WatchProblem): string {
  const where = destination === null ? '' : `${destination}: `;
  switch (what) {
    case 'relays':
      return 'no relay is alive: nothing is delivered';
    case 'lag':
      return `${where}lag ${spoken(value)} (limit ${describeDuration(limit)})`;
    case 'parked':
    case 'retrying':
      return `${where}${value} ${what} (limit ${limit})`;
    case 'unrouted':
      return `${value} events that no route took (limit ${limit})`;
  }
}

function spoken(ms: number): string {
  return describeDuration(Math.floor(ms / 1000) * 1000);
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
