import { inReadOnly, type Pool } from '../storage/connect.ts';
import { readLacking, type LackingWork } from '../storage/lacking.ts';
import {
  readDatabaseStanding,
  readLaneStandings,
  type DatabaseStanding,
  type LaneStanding,
} from '../storage/standing.ts';
import { countMessages, type MessageCounts } from '../storage/messages.ts';
import {
  countDeliveries,
  countUnrouted,
  type DestinationCounts,
  type UnroutedCount,
} from '../storage/status.ts';
import { Latest } from './latest.ts';

/** What is cheap to ask however many rows wait. */
export interface Standing {
  readonly lanes: readonly LaneStanding[];
  readonly database: DatabaseStanding;
  readonly lacking: readonly LackingWork[];
}

/** What takes a look at every row that waits, deliveries and half messages. */
export interface Counts {
  readonly deliveries: readonly DestinationCounts[];
  readonly unrouted: readonly UnroutedCount[];
  readonly halfMessages: readonly MessageCounts[];
}

/** The most frequent types of unrouted events that get a series of their own. */
export const maximumTypes = 20;

const statementMs = { standing: 2_000, counts: 5_000 };

export interface Standings {
  readonly standing: Latest<Standing>;
  readonly counts: Latest<Counts>;
}

/**
 * Counting a million waiting rows takes a quarter of a second: by `restFactor` that is done once in 25 s then, and a hundredth of one
 * core at most goes into it, however often and from however many places a process is scraped.
 */
export function watchStandings(pool: Pool): Standings {
  return {
    standing: new Latest(
      (begin) =>
        inReadOnly(pool, statementMs.standing, async (client) => {
          begin();
          return {
            lanes: await readLaneStandings(client),
            database: await readDatabaseStanding(client),
            lacking: await readLacking(client),
          };
        }),
      { freshMs: 2_000, restFactor: 20, patienceMs: 3_000, staleMs: 60_000 },
    ),
    counts: new Latest(
      (begin) =>
        inReadOnly(pool, statementMs.counts, async (client) => {
          begin();
          return {
            deliveries: await countDeliveries(client),
            unrouted: await countUnrouted(client, 1_000_000),
            halfMessages: await countMessages(client),
          };
        }),
      { freshMs: 2_000, restFactor: 100, patienceMs: 1_000, staleMs: 600_000 },
    ),
  };
}
