/**
 * What a redrive is asked for: one flat JSON object, whether a person types it into the Temporal UI, a command builds it from options, or
 * a program calls. Pure: the workflow reads it too.
 */
import { resolutionActions, type ResolutionAction } from './command.ts';
import { isFilledText, isRate, objectProblem, pastOf, pastsExpected, rates } from './paced.ts';
import { likePattern } from './pattern.ts';

/** Which dead letters; every field given must hold. Only open ones are ever meant. */
export interface RedriveFilter {
  readonly destination?: string;
  /** Id of a cause, as `dlq causes` shows it. */
  readonly cause?: string;
  /** Event type; `*` stands for any run of characters. */
  readonly type?: string;
  /** The event's key. */
  readonly key?: string;
  /** Parked since, and before: ISO 8601, or a time ago such as `2h`. */
  readonly since?: string;
  readonly until?: string;
  /** Status of the last answer, such as 422. */
  readonly status?: number;
  /** A text within the last error, large or small letters. */
  readonly text?: string;
  /** A jsonpath that the payload must fulfil: `$.total > 100`, or `$.items[*] ? (@.sku == "x")`. */
  readonly payload?: string;
  /** Why they were parked, such as `permanent`. */
  readonly parkedFor?: string;
  /** Numbers of dead letters, 1,000 at most. */
  readonly letters?: readonly number[];
}

export interface RedriveRequest extends RedriveFilter {
  /** Needed where no other field says which: all open dead letters. */
  readonly all?: boolean;
  /** Default `retry`. */
  readonly action?: ResolutionAction;
  /** `edit`: a JSON Patch for each payload, as its text: numbers beyond 2^53 then stay what they are. Or as a list. */
  readonly patch?: string | readonly unknown[];
  /** `redirect`: the destination to send to instead. */
  readonly to?: string;
  /** Sizes of the first steps; each is answered before the next. Default `[10]`; of `discard` `[500]`. */
  readonly steps?: readonly number[];
  /** Letters a second, at most. Default 50 where `steps` is not given; without it the last step's size repeats. */
  readonly rate?: number;
  /** It stops itself when more than this share of the answers are failures: 0 to 1, or `"10%"`. Default 0.1. */
  readonly maxFailures?: number | string;
  readonly reason?: string;
}

/** As PostgreSQL takes it. */
export interface CheckedRedrive {
  readonly action: ResolutionAction;
  readonly filter: RedriveFilter & { readonly typeLike?: string };
  /** JSON text. */
  readonly patch: string | null;
  readonly to: string | null;
  readonly steps: readonly number[];
  readonly rate: number | null;
  readonly maxFailures: number;
  readonly reason: string | null;
}

const filterFields = [
  'destination',
  'cause',
  'type',
  'key',
  'since',
  'until',
  'status',
  'text',
  'payload',
  'parkedFor',
  'letters',
] as const;
const otherFields = ['all', 'action', 'patch', 'to', 'steps', 'rate', 'maxFailures', 'reason'] as const;
const lettersMax = 1000;
const stepsMax = 100;
const stepSizeMax = 100_000;

type Problem = { readonly problem: string };

/** The request, checked and with its defaults, or what is wrong with it. `nowMs`: for times ago. */
export function checkRedrive(input: unknown, nowMs: number): CheckedRedrive | Problem {
  const noObject = objectProblem(input, '{"destination": "billing", "status": 422}');
  if (noObject !== null) return { problem: noObject };
  const given = input as Record<string, unknown>;
  const known: readonly string[] = [...filterFields, ...otherFields];
  const unknown = Object.keys(given).find((field) => !known.includes(field));
  if (unknown !== undefined)
    return {
      problem: `a redrive does not take ${JSON.stringify(unknown.slice(0, 40))}; it takes ${known.join(', ')}`,
    };
  const request = given as RedriveRequest;
  const problem = filterProblem(request) ?? actionProblem(request) ?? paceProblem(request);
  return problem === null ? withDefaults(request, nowMs) : { problem };
}

function withDefaults(request: RedriveRequest, nowMs: number): CheckedRedrive | Problem {
  const { action = 'retry', patch, to, steps, reason, type, since, until, maxFailures = 0.1 } = request;
  const from = pastOf(since, nowMs);
  const before = pastOf(until, nowMs);
  if (from === null || before === null) return { problem: pastsExpected };
  const filter = Object.fromEntries(
    filterFields.flatMap((field) => (request[field] === undefined ? [] : [[field, request[field]]])),
  );
  return {
    action,
    filter: {
      ...filter,
      ...(type === undefined ? {} : { typeLike: likePattern(type) }),
      ...(from === undefined ? {} : { since: from }),
      ...(before === undefined ? {} : { until: before }),
    },
    patch: patch === undefined ? null : typeof patch === 'string' ? patch : JSON.stringify(patch),
    to: to ?? null,
    steps: steps ?? [action === 'discard' ? 500 : 10],
    rate: request.rate ?? (steps === undefined && action !== 'discard' ? 50 : null),
    maxFailures: shareOf(maxFailures) ?? 0.1,
    reason: reason ?? null,
  };
}

function shareOf(value: number | string): number | null {
  const percent = typeof value === 'string' ? /^(\d+(?:\.\d+)?)%$/.exec(value.trim())?.[1] : undefined;
  const share = percent === undefined ? Number(value) : Number(percent) / 100;
  return value !== '' && share >= 0 && share <= 1 ? share : null;
}

function filterProblem(request: RedriveRequest): string | null {
  for (const field of filterFields) {
    const value: unknown = request[field];
    if (value === undefined) continue;
    if (field === 'status') {
      if (!isBetween(value, 100, 999)) return '"status" is the status of an answer, such as 422';
    } else if (field === 'letters') {
      if (!isListOf(value, (id) => isBetween(id, 1, Number.MAX_SAFE_INTEGER), lettersMax))
        return `"letters" is a list of numbers of dead letters, 1 to ${lettersMax}`;
    } else if (!isFilledText(value, 1000)) return `"${field}" is a text of 1 to 1000 characters`;
  }
  const isEmpty = filterFields.every((field) => request[field] === undefined);
  if (isEmpty && request.all !== true)
    return 'say which dead letters: "destination", "cause", "type", "status", … or {"all": true}';
  return !isEmpty && request.all === true ? '"all" and a filter contradict each other' : null;
}

function actionProblem({ action = 'retry', patch, to, reason }: RedriveRequest): string | null {
  if (!resolutionActions.includes(action)) return `"action" is one of ${resolutionActions.join(', ')}`;
  if (action === 'edit' ? patch === undefined : patch !== undefined)
    return action === 'edit'
      ? 'an edit needs a "patch": [{"op": "replace", "path": "/total", "value": 1}]'
      : `"patch" belongs to {"action": "edit"}`;
  if (patch !== undefined && typeof patch !== 'string' && !Array.isArray(patch))
    return '"patch" is a JSON Patch: a list of operations, or its text';
  if (action === 'redirect' ? !isFilledText(to, 63) : to !== undefined)
    return action === 'redirect'
      ? 'say where to: "to": "<destination>"'
      : `"to" belongs to {"action": "redirect"}`;
  return reason === undefined || isFilledText(reason, 1000)
    ? null
    : '"reason" is a text of 1 to 1000 characters';
}

function paceProblem({ steps, rate, maxFailures, all }: RedriveRequest): string | null {
  if (all !== undefined && typeof all !== 'boolean') return '"all" is true or false';
  if (steps !== undefined && !isListOf(steps, (size) => isBetween(size, 1, stepSizeMax), stepsMax))
    return `"steps" is a list of 1 to ${stepsMax} sizes, each 1 to ${stepSizeMax}`;
  if (rate !== undefined && !isRate(rate))
    return `"rate" is letters a second, ${rates.minimum} to ${rates.maximum}`;
  return maxFailures === undefined || shareOf(maxFailures) !== null
    ? null
    : '"maxFailures" is a share: "10%", or 0 to 1';
}

function isBetween(value: unknown, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}

function isListOf(value: unknown, check: (item: unknown) => boolean, maximum: number): boolean {
  return Array.isArray(value) && value.length > 0 && value.length <= maximum && value.every(check);
}
