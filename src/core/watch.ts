/** What is wrong, against limits that somebody set: for monitors that ask a command. */
export interface WatchLimits {
  /** Age of the oldest due delivery, and how late a check-back may be; milliseconds. */
  readonly maxLagMs: number;
  /** What waits for a person, per destination and per producer of half messages. */
  readonly maxParked: number;
  readonly maxRetrying: number;
  /** Events that no route took. */
  readonly maxUnrouted: number;
  /** Since a pass of housekeeping came to its end; milliseconds. */
  readonly maxHousekeepingAgeMs: number;
}

/** A pass of housekeeping comes every hour, five minutes late at most: from here on one is missing. */
export const passOverdueMs = 2 * 3_600_000;

/** Shorter is a restart of PostgreSQL. */
const unwrittenForMs = 5_000;

export const watchDefaults: WatchLimits = {
  maxLagMs: 5 * 60_000,
  maxParked: 0,
  maxRetrying: Infinity,
  maxUnrouted: Infinity,
  maxHousekeepingAgeMs: 24 * 3_600_000,
};

export interface Watched {
  readonly destinations: readonly WatchedDestination[];
  readonly halfMessages: readonly {
    readonly producer: string;
    readonly parked: number;
    readonly checkLateMs: number;
  }[];
  readonly unrouted: number;
  readonly relays: number;
  readonly housekeepingAgeMs: number;
  /** What workers were answered and PostgreSQL does not take. */
  readonly unwritten: readonly {
    readonly worker: string;
    readonly waitedMs: number;
    readonly says: string;
  }[];
  /** What no worker has what it takes for: each in words. */
  readonly nobodyCan: readonly string[];
}

export interface WatchedDestination {
  readonly destination: string;
  readonly lagMs: number;
  readonly parked: number;
  readonly retrying: number;
  readonly state: 'closed' | 'half-open' | 'open' | 'paused';
  /** `refusals` paused it by themselves. */
  readonly heldBy: 'circuit' | 'refusals' | 'person' | null;
  readonly heldMs: number;
}

export interface WatchProblem {
  readonly what:
    | 'relays'
    | 'lag'
    | 'paused-by-refusals'
    | 'parked'
    | 'retrying'
    | 'messages-parked'
    | 'check-backs-late'
    | 'unrouted'
    | 'housekeeping'
    | 'unwritten'
    | 'nobody-can';
  /** Null for what is no destination's. */
  readonly destination: string | null;
  /** Of half messages; null for what is no producer's. */
  readonly producer: string | null;
  /** Milliseconds of what is an age, else a count; with the limit that it exceeds. */
  readonly value: number;
  readonly limit: number;
}

type Place = { readonly destination: string } | { readonly producer: string } | null;

/** Empty when all is within its limits. A destination that a person paused lags because somebody wants it to. */
export function problemsOf(watched: Watched, limits: WatchLimits): WatchProblem[] {
  const problems: WatchProblem[] = [];
  const add = (what: WatchProblem['what'], place: Place, value: number, limit: number): void =>
    void problems.push({ what, destination: null, producer: null, ...place, value, limit });
  const over = (what: WatchProblem['what'], place: Place, value: number, limit: number): void => {
    if (value > limit) add(what, place, value, limit);
  };
  if (watched.relays === 0) add('relays', null, 0, 1);
  const waits = watched.unwritten.map(({ waitedMs }) => waitedMs);
  over('unwritten', null, Math.max(0, ...waits), unwrittenForMs);
  over('nobody-can', null, watched.nobodyCan.length, 0);
  for (const { destination, lagMs, parked, retrying, heldBy, heldMs } of watched.destinations) {
    if (heldBy === 'refusals') add('paused-by-refusals', { destination }, heldMs, 0);
    else if (heldBy !== 'person') over('lag', { destination }, lagMs, limits.maxLagMs);
    over('parked', { destination }, parked, limits.maxParked);
    over('retrying', { destination }, retrying, limits.maxRetrying);
  }
  for (const { producer, parked, checkLateMs } of watched.halfMessages) {
    over('messages-parked', { producer }, parked, limits.maxParked);
    over('check-backs-late', { producer }, checkLateMs, limits.maxLagMs);
  }
  over('unrouted', null, watched.unrouted, limits.maxUnrouted);
  over('housekeeping', null, watched.housekeepingAgeMs, limits.maxHousekeepingAgeMs);
  return problems;
}
