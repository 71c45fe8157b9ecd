/** What a replay takes, as people write it: options of the CLI, or the input of the workflow `replay` started by hand. Pure. */
import { isFilledText, isRate, objectProblem, pastOf, pastsExpected, rates } from './paced.ts';
import { likePattern } from './pattern.ts';

/** Which events are sent, where, and how fast. Without any of `type`, `since`, `until` and `key` it needs `all`. */
export interface ReplayRequest {
  /** Event types, as the routes' `match`: `order.*`. */
  readonly type?: string;
  /** Written since then: a moment (ISO 8601 with its offset), or how long ago (`2d`). */
  readonly since?: string;
  /** Written until then; default: now. */
  readonly until?: string;
  /** Events of this key alone. */
  readonly key?: string;
  /** Everything that is kept. */
  readonly all?: boolean;
  /** The destination that gets them (backfill). Without it: events that no route took go where the routes say now. */
  readonly to?: string;
  /** Events a second, 0.01 to 10,000. Default 100. */
  readonly rate?: number;
  /**
   * What becomes of an event whose destination keeps order and got a newer one of its key: `skip` (default) leaves it out, `send` sends it
   * after that one.
   */
  readonly late?: 'skip' | 'send';
}

/** A request understood; moments are ISO 8601 in UTC. */
export interface ReplayPlan {
  readonly filter: {
    readonly type?: string;
    /** `type` as SQL's LIKE wants it. */
    readonly like?: string;
    readonly since?: string;
    readonly until?: string;
    readonly key?: string;
  };
  readonly to: string | null;
  readonly rate: number;
  readonly late: 'skip' | 'send';
}

export const replayRateDefault = 100;
const fields = ['type', 'since', 'until', 'key', 'all', 'to', 'rate', 'late'];

/** Answers what was not understood as a text that says what was expected; never throws. */
export function planReplay(given: unknown, nowMs: number): ReplayPlan | string {
  const noObject = objectProblem(given, '{"type": "order.*", "since": "2d"}');
  if (noObject !== null) return noObject;
  const request = given as Record<string, unknown>;
  const unknown = Object.keys(request).find((field) => !fields.includes(field));
  if (unknown !== undefined)
    return `there is no ${JSON.stringify(unknown.slice(0, 40))}; there are ${fields.join(', ')}`;
  const { type, since, until, key, all, to, rate = replayRateDefault, late = 'skip' } = request;
  for (const [field, value, limit] of [
    ['type', type, 255],
    ['key', key, 1024],
  ] as const)
    if (value !== undefined && !isFilledText(value, limit))
      return `"${field}" is a text of 1 to ${limit} characters`;
  if (to !== undefined && !(typeof to === 'string' && /^[a-z][a-z0-9-]{0,62}$/.test(to)))
    return '"to" is the name of a destination';
  if (!isRate(rate)) return `"rate" is events a second, ${rates.minimum} to ${rates.maximum}`;
  if (late !== 'skip' && late !== 'send') return '"late" is "skip" or "send"';
  const from = pastOf(since, nowMs);
  const to_ = pastOf(until, nowMs);
  if (from === null || to_ === null) return pastsExpected;
  if (from !== undefined && to_ !== undefined && from >= to_) return '"since" lies before "until"';
  if ([type, from, to_, key].every((value) => value === undefined) && all !== true)
    return 'say which: type, since, until or key; "all": true for everything that is kept';
  return {
    filter: {
      ...(type === undefined ? {} : { type: type as string, like: likePattern(type as string) }),
      ...(from === undefined ? {} : { since: from }),
      ...(to_ === undefined ? {} : { until: to_ }),
      ...(key === undefined ? {} : { key: key as string }),
    },
    to: to ?? null,
    rate,
    late,
  };
}
