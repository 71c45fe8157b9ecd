/** What is wrong, against limits that somebody set: for monitors that ask a command. */
export interface WatchLimits {
  /** Age of the oldest due delivery, milliseconds. */
  readonly maxLagMs: number;
  readonly maxParked: number;
  readonly maxRetrying: number;
  /** Events that no route took. */
  readonly maxUnrouted: number;
}

export const watchDefaults: WatchLimits = {
  maxLagMs: 5 * 60_000,
  maxParked: 0,
  maxRetrying: Infinity,
  maxUnrouted: Infinity,
};

export interface Watched {
  readonly destinations: readonly {
    readonly destination: string;
    readonly lagMs: number;
    readonly parked: number;
    readonly retrying: number;
    readonly paused: boolean;
  }[];
  readonly unrouted: number;
  readonly relays: number;
}

export interface WatchProblem {
  readonly what: 'relays' | 'lag' | 'parked' | 'retrying' | 'unrouted';
  /** Null for what is no destination's. */
  readonly destination: string | null;
  /** Milliseconds for `lag`, else a count; with the limit that it exceeds. */
  readonly value: number;
  readonly limit: number;
}

/** Empty when all is within its limits. A paused destination lags because somebody wants it to. */
export function problemsOf(watched: Watched, limits: WatchLimits): WatchProblem[] {
  const problems: WatchProblem[] = [];
  const over = (
    what: WatchProblem['what'],
    destination: string | null,
    value: number,
    limit: number,
  ): void => {
    if (value > limit) problems.push({ what, destination, value, limit });
  };
  if (watched.relays === 0) problems.push({ what: 'relays', destination: null, value: 0, limit: 1 });
  for (const { destination, lagMs, parked, retrying, paused } of watched.destinations) {
    if (!paused) over('lag', destination, lagMs, limits.maxLagMs);
    over('parked', destination, parked, limits.maxParked);
    over('retrying', destination, retrying, limits.maxRetrying);
  }
  over('unrouted', null, watched.unrouted, limits.maxUnrouted);
  return problems;
}
