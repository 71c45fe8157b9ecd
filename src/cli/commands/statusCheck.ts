import { counted } from '../../core/counted.ts';
import { describeDuration } from '../../core/duration.ts';
import {
  problemsOf,
  watchDefaults,
  type Watched,
  type WatchLimits,
  type WatchProblem,
} from '../../core/watch.ts';
import { countMessages } from '../../storage/messages.ts';
import { readDatabaseStanding, readLaneStandings } from '../../storage/standing.ts';
import { countDeliveries, countUnrouted, readUnwritten } from '../../storage/status.ts';
import type { Pool } from '../../storage/connect.ts';
import { isNobodys, readLacking } from '../../storage/lacking.ts';
import { withDatabase } from '../database.ts';
import { lackingInWords } from '../lackingText.ts';
import type { Output } from '../output.ts';
import { printable } from '../../core/printable.ts';

/** `status --check`: one line, 0 or 1, as monitors ask for it. */
export async function checkStatus(out: Output, given: Partial<WatchLimits>): Promise<0 | 1> {
  const limits = { ...watchDefaults, ...given };
  const watched = await withDatabase(readWatched);
  const problems = problemsOf(watched, limits);
  const ok = problems.length === 0;
  out.result({ ok, problems, ...watched }, (colours) =>
    ok
      ? `${colours.green('OK')}: ${inFigures(watched)}\n`
      : `${colours.red('CRITICAL')}: ${inWords(problems, watched)}\n`,
  );
  return ok ? 0 : 1;
}

async function readWatched(pool: Pool): Promise<Watched> {
  const [lanes, counts, unrouted, halfMessages, database, unwritten, lacking] = await Promise.all([
    readLaneStandings(pool),
    countDeliveries(pool),
    countUnrouted(pool, 1_000_000),
    countMessages(pool),
    readDatabaseStanding(pool),
    readUnwritten(pool),
    readLacking(pool),
  ]);
  const byName = new Map(lanes.map((lane) => [lane.destination, lane]));
  return {
    destinations: counts.map(({ destination, parked, retrying }) => {
      const lane = byName.get(destination);
      return {
        ...{ destination, parked, retrying, state: lane?.state ?? 'closed', heldBy: lane?.heldBy ?? null },
        lagMs: Math.round((lane?.lagSeconds ?? 0) * 1000),
        heldMs: Math.round((lane?.heldSeconds ?? 0) * 1000),
      };
    }),
    halfMessages: halfMessages.map(({ producer, parked, checkLateMs }) => ({
      ...{ producer, parked, checkLateMs: Math.round(checkLateMs) },
    })),
    unrouted: sumOf(unrouted.map(({ events }) => events)),
    relays: database.relays,
    housekeepingAgeMs: Math.round(database.housekeepingAgeSeconds * 1000),
    unwritten: unwritten.map(({ worker, waitedMs, says }) => ({
      worker,
      waitedMs: Math.round(waitedMs),
      says,
    })),
    nobodyCan: lacking.filter(isNobodys).map(lackingInWords),
  };
}

function inFigures({ destinations, halfMessages }: Watched): string {
  const lagMs = Math.max(0, ...destinations.map(({ lagMs }) => lagMs));
  const parked = sumOf([...destinations, ...halfMessages].map(({ parked }) => parked));
  return `${counted(destinations.length, 'destination')}, lag ${spoken(lagMs)}, ${parked} parked`;
}

/** The worst of a thousand destinations must still fit a line. */
const shownMax = 5;

function inWords(problems: readonly WatchProblem[], watched: Watched): string {
  const shown = problems.slice(0, shownMax).map((problem) => describe(problem, watched));
  const more = problems.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

function describe({ what, destination, producer, value, limit }: WatchProblem, watched: Watched): string {
  const name = destination ?? producer;
  const where = name === null ? '' : `${name}: `;
  switch (what) {
    case 'relays':
      return 'no relay is alive: nothing is delivered';
    case 'lag':
      return `${where}lag ${spoken(value)} (limit ${describeDuration(limit)})${circuitOf(destination, watched)}`;
    case 'paused-by-refusals':
      return `${where}paused by refusals for ${spoken(value)}, until a person resumes it`;
    case 'parked':
    case 'retrying':
      return `${where}${value} ${what} (limit ${limit})`;
    case 'unrouted':
      return `${value} events that no route took (limit ${limit})`;
    case 'messages-parked':
      return `${where}${value} half messages parked (limit ${limit})`;
    case 'check-backs-late':
      return `${where}a check-back is ${spoken(value)} late (limit ${describeDuration(limit)})`;
    case 'unwritten':
      return `PostgreSQL does not take what was answered, for ${spoken(value)}: ${printable(watched.unwritten[0]?.says ?? '')}`;
    case 'nobody-can':
      return watched.nobodyCan.slice(0, 2).join('; ');
    case 'housekeeping':
      return `no housekeeping for ${spoken(value)} (limit ${describeDuration(limit)})`;
  }
}

function circuitOf(name: string | null, { destinations }: Watched): string {
  const found = destinations.find(({ destination }) => destination === name);
  return found?.heldBy === 'circuit' ? `, its circuit is ${found.state}` : '';
}

function spoken(ms: number): string {
  return describeDuration(Math.floor(ms / 1000) * 1000);
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
