/**
 * Resolutions as people send them: one optional JSON value, from the Temporal UI, our CLI or any client. The parser is
 * forgiving in form and strict in meaning; it never throws, because an exception in a signal handler would fail or
 * block the workflow that holds somebody's order.
 */
export const resolutionActions = ['retry', 'edit', 'redirect', 'discard'] as const;
export type ResolutionAction = (typeof resolutionActions)[number];

/** The object a signal or update takes; every field is optional. */
export interface ResolutionInput {
  /** One event id or several; without it, the one parked delivery (`retry`: all of them). */
  readonly event?: string | readonly string[];
  /** Act on everything parked in this workflow. */
  readonly all?: boolean;
  /** Who sends it. A claim, not a proof. */
  readonly actor?: string;
  readonly reason?: string;
  /** Makes repeats of the same command harmless. */
  readonly commandId?: string;
  /** `edit`: the new payload, any JSON value. It stays in the workflow's history; the CLI sends `revision` instead. */
  readonly payload?: unknown;
  /** `edit`: the new headers, an object of strings. */
  readonly headers?: Readonly<Record<string, string>>;
  /** `edit`: the number of a revision already stored in PostgreSQL. */
  readonly revision?: number;
  /** `redirect`: the destination's name. */
  readonly to?: string;
}

export interface ParsedCommand {
  readonly action: ResolutionAction;
  readonly events?: readonly string[];
  readonly all?: boolean;
  readonly actor?: string;
  readonly reason?: string;
  readonly commandId?: string;
  readonly payload?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly revision?: number;
  readonly to?: string;
  /** Why the input was not understood; nothing is done then but noting it. */
  readonly malformed?: string;
}

const allowed: Record<ResolutionAction, readonly string[]> = {
  retry: ['event', 'all', 'actor', 'reason', 'commandId'],
  edit: ['event', 'all', 'actor', 'reason', 'commandId', 'payload', 'headers', 'revision'],
  redirect: ['event', 'all', 'actor', 'reason', 'commandId', 'to'],
  discard: ['event', 'all', 'actor', 'reason', 'commandId'],
};

const maximumIds = 1000;

/** Understands what was sent with `action`; what it cannot understand comes back as `malformed`. */
export function parseCommand(action: ResolutionAction, input: unknown): ParsedCommand {
  if (input === undefined) return { action };
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { action, malformed: `expected one JSON object or nothing, got ${kindOf(input)}` };
  }
  const given = input as Record<string, unknown>;
  const problem = problemWith(action, given);
  const known = {
    ...(typeof given['actor'] === 'string' ? { actor: given['actor'] } : {}),
    ...(typeof given['reason'] === 'string' ? { reason: given['reason'] } : {}),
    ...(typeof given['commandId'] === 'string' ? { commandId: given['commandId'] } : {}),
  };
  if (problem !== null) return { action, ...known, malformed: problem };
  const { event } = given;
  return {
    action,
    ...known,
    ...(event === undefined ? {} : { events: (Array.isArray(event) ? event : [event]) as string[] }),
    ...(given['all'] === true ? { all: true } : {}),
    ...('payload' in given ? { payload: given['payload'] } : {}),
    ...('headers' in given ? { headers: given['headers'] as Record<string, string> } : {}),
    ...('revision' in given ? { revision: given['revision'] as number } : {}),
    ...('to' in given ? { to: given['to'] as string } : {}),
  };
}

function problemWith(action: ResolutionAction, given: Record<string, unknown>): string | null {
  const unknown = Object.keys(given).find((field) => !allowed[action].includes(field));
  if (unknown !== undefined) {
    return `${action} does not take "${unknown.slice(0, 40)}"; it takes ${allowed[action].join(', ')}`;
  }
  return (
    eventProblem(given['event']) ??
    textProblem('actor', given['actor'], 200) ??
    textProblem('reason', given['reason'], 1000) ??
    textProblem('commandId', given['commandId'], 200) ??
    textProblem('to', given['to'], 63) ??
    (given['all'] === undefined || typeof given['all'] === 'boolean' ? null : '"all" is true or false') ??
    editProblem(given)
  );
}

function eventProblem(event: unknown): string | null {
  if (event === undefined) return null;
  const ids: unknown[] = Array.isArray(event) ? event : [event];
  if (ids.length === 0 || ids.length > maximumIds)
    return `"event" names ${ids.length} ids; name 1 to ${maximumIds}`;
  const wrong = ids.find(
    (id) => typeof id !== 'string' || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id),
  );
  return wrong === undefined
    ? null
    : `"event" is an event id (a UUID) or a list of them, got ${kindOf(wrong)}`;
}

function editProblem(given: Record<string, unknown>): string | null {
  const { headers, revision } = given;
  if ('payload' in given && given['payload'] === undefined) return '"payload" is empty';
  if (headers !== undefined && !isObjectOfStrings(headers))
    return '"headers" is an object whose values are strings';
  if (revision !== undefined && !(Number.isSafeInteger(revision) && (revision as number) > 1)) {
    return '"revision" is the number of a stored revision, 2 or more';
  }
  return null;
}

function textProblem(field: string, value: unknown, limit: number): string | null {
  if (value === undefined) return null;
  if (typeof value !== 'string') return `"${field}" is a text, got ${kindOf(value)}`;
  // PostgreSQL stores no NUL.
  if (value.length > limit || value.includes('\0'))
    return `"${field}" is a text of at most ${limit} characters, without NUL`;
  return null;
}

function isObjectOfStrings(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((entry) => typeof entry === 'string' && !entry.includes('\0'));
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  return `${typeof value} ${JSON.stringify(value)?.slice(0, 60) ?? ''}`.trim();
}
