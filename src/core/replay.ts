/** What a replay takes, as people write it: options of the CLI, or the input of the workflow `replay` started by hand. Pure. */
import { durationExpected, parseDuration } from './duration.ts';
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
const rates = { minimum: 0.01, maximum: 10_000 };
const fields = ['type', 'since', 'until', 'key', 'all', 'to', 'rate', 'late'];

/** Answers what was not understood as a text that says what was expected; never throws. */
export function planReplay(given: unknown, nowMs: number): ReplayPlan | string {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return `expected one JSON object, such as {"type": "order.*", "since": "2d"}`;
  const request = given as Record<string, unknown>;
  const unknown = Object.keys(request).find((field) => !fields.includes(field));
  if (unknown !== undefined)
    return `there is no ${JSON.stringify(unknown.slice(0, 40))}; there are ${fields.join(', ')}`;
  const { type, since, until, key, all, to, rate = replayRateDefault, late = 'skip' } = request;
  for (const [field, value, limit] of [
    ['type', type, 255],
    ['key', key, 1024],
  ] as const)
    if (value !== undefined && !isText(value, limit))
      return `"${field}" is a text of 1 to ${limit} characters`;
  if (to !== undefined && !(typeof to === 'string' && /^[a-z][a-z0-9-]{0,62}$/.test(to)))
    return '"to" is the name of a destination';
  if (typeof rate !== 'number' || !(rate >= rates.minimum && rate <= rates.maximum))
    return `"rate" is events a second, ${rates.minimum} to ${rates.maximum}`;
  if (late !== 'skip' && late !== 'send') return '"late" is "skip" or "send"';
  const moments = [since, until].map((moment) =>
    moment === undefined ? undefined : momentOf(moment, nowMs),
  );
  if (moments.includes(null))
    return `"since" and "until" are moments such as 2030-01-31T08:00:00Z, or how long ago: ${durationExpected}`;
  const [from, to_] = moments as (string | undefined)[];
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

function isText(value: unknown, charactersMax: number): boolean {
  return typeof value === 'string' && value !== '' && value.length <= charactersMax && !value.includes('\0');
}

/** Null for what is neither a moment nor a duration. */
function momentOf(value: unknown, nowMs: number): string | null {
  if (typeof value !== 'string') return null;
  const agoMs = parseDuration(value);
  const isMoment = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$/.test(value);
  const ms = agoMs === null ? (isMoment ? Date.parse(value) : Number.NaN) : nowMs - agoMs;
  return ms >= 0 && ms < Date.UTC(9999, 0, 1) ? new Date(ms).toISOString() : null;
}
