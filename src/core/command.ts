/**
 * Resolutions as people send them: one optional JSON value, from the Temporal UI, our CLI or any client. The parser is
 * forgiving in form and strict in meaning; it never throws, because an exception in a signal handler would fail or
 * block the workflow that holds somebody's order.
 */
import { isBase64 } from './base64.ts';
import { durationExpected, parseDuration } from './duration.ts';
import { isUuid } from './uuid.ts';

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
  /** `edit` of an event of bytes: the new ones, in base64. */
  readonly payloadBase64?: string;
  /** `edit`: the new headers, an object of strings. */
  readonly headers?: Readonly<Record<string, string>>;
  /** `edit`: the number of a revision already stored in PostgreSQL. */
  readonly revision?: number;
  /** `redirect`: the destination's name. */
  readonly to?: string;
}

/** Commands to half messages: `check` asks the producer again, its schedule from the beginning. */
export const messageActions = ['commit', 'rollback', 'check'] as const;
export type MessageAction = (typeof messageActions)[number];

/** What a signal or update to half messages takes; `event` is the id of the message, which its event will have. */
export type MessageInput = Pick<ResolutionInput, 'event' | 'all' | 'actor' | 'reason' | 'commandId'>;

/** Commands to a destination. */
export const destinationActions = ['pause', 'resume', 'probe', 'park'] as const;
export type DestinationAction = (typeof destinationActions)[number];

/** Commands to what works through a frozen set, a replay or a redrive; `resume` begins a previewed replay, too. */
export const pacedActions = ['pause', 'resume', 'cancel'] as const;
export type PacedAction = (typeof pacedActions)[number];

/** What a signal or update to them takes. */
export type PacedInput = Pick<ResolutionInput, 'actor' | 'reason' | 'commandId'>;

/** What a signal or update to a destination takes; every field is optional, but `park` needs `olderThan`. */
export interface DestinationInput extends Pick<ResolutionInput, 'actor' | 'reason' | 'commandId'> {
  /** `park`: how old a pending event must be, such as `1d`. */
  readonly olderThan?: string;
}

/** Which signal of a workflow a command came by: the nth of its name in that run. */
export interface SignalOrigin {
  readonly runId: string;
  readonly nth: number;
}

/** An input understood: the ids as a list, or why it was not understood. */
export interface ParsedCommand<Action extends string = ResolutionAction> extends Omit<
  ResolutionInput,
  'event'
> {
  readonly action: Action;
  readonly events?: readonly string[];
  /** Why the input was not understood; nothing is done then but noting it. */
  readonly malformed?: string;
  /** Set by the workflow that received it, never by who sent it. */
  readonly origin?: SignalOrigin;
  /** Announced by a program that sends what people ask it for. */
  readonly onBehalf?: true;
  /** Set by the activity that carries it out. */
  readonly sender?: { readonly principal: string | null; readonly identity: string | null };
}

export interface ParsedDestinationCommand extends ParsedCommand<DestinationAction> {
  readonly olderThan?: string;
}

type AnyAction = ResolutionAction | MessageAction | DestinationAction | PacedAction;

const allowed: Record<AnyAction, readonly string[]> = {
  retry: ['event', 'all', 'actor', 'reason', 'commandId'],
  edit: ['event', 'all', 'actor', 'reason', 'commandId', 'payload', 'payloadBase64', 'headers', 'revision'],
  redirect: ['event', 'all', 'actor', 'reason', 'commandId', 'to'],
  discard: ['event', 'all', 'actor', 'reason', 'commandId'],
  commit: ['event', 'all', 'actor', 'reason', 'commandId'],
  rollback: ['event', 'all', 'actor', 'reason', 'commandId'],
  check: ['event', 'all', 'actor', 'reason', 'commandId'],
  pause: ['actor', 'reason', 'commandId'],
  resume: ['actor', 'reason', 'commandId'],
  probe: ['actor', 'reason', 'commandId'],
  cancel: ['actor', 'reason', 'commandId'],
  park: ['olderThan', 'actor', 'reason', 'commandId'],
};

const maximumIds = 1000;
/** Of the whole input as JSON: a payload may have 1 MiB, the rest is names. What is larger could not even be handed on. */
const maximumBytes = 1024 * 1024 + 64 * 1024;
/** Characters. */
const textLimits = { actor: 200, reason: 1000, commandId: 200, to: 63, olderThan: 20 } as const;

/** Understands what was sent with `action`; what it cannot understand comes back as `malformed`. */
export function parseCommand<Action extends AnyAction>(
  action: Action,
  input: unknown,
): ParsedCommand<Action> {
  if (input === undefined) return { action };
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { action, malformed: `expected one JSON object or nothing, got ${kindOf(input)}` };
  }
  const given = input as Record<string, unknown>;
  const problem = problemWith(action, given);
  // Kept with a refusal too, for the record: what of it can be kept.
  const known = Object.fromEntries(
    Object.entries(textLimits).flatMap(([field, limit]) =>
      field !== 'to' &&
      field !== 'olderThan' &&
      given[field] !== undefined &&
      textProblem(field, given[field], limit) === null
        ? [[field, given[field] as string]]
        : [],
    ),
  );
  if (problem !== null) return { action, ...known, malformed: problem };
  const { event } = given;
  return {
    action,
    ...known,
    ...(event === undefined ? {} : { events: (Array.isArray(event) ? event : [event]) as string[] }),
    ...(given['all'] === true ? { all: true } : {}),
    ...('payload' in given ? { payload: given['payload'] } : {}),
    ...('payloadBase64' in given ? { payloadBase64: given['payloadBase64'] as string } : {}),
    ...('headers' in given ? { headers: given['headers'] as Record<string, string> } : {}),
    ...('revision' in given ? { revision: given['revision'] as number } : {}),
    ...('to' in given ? { to: given['to'] as string } : {}),
  };
}

/** The same for a destination's commands. */
export function parseDestinationCommand(action: DestinationAction, input: unknown): ParsedDestinationCommand {
  const command = parseCommand(action, input);
  if (action !== 'park' || command.malformed !== undefined) return command;
  const { olderThan } = (input ?? {}) as DestinationInput;
  return olderThan !== undefined && parseDuration(olderThan) !== null
    ? { ...command, olderThan }
    : { ...command, malformed: `say how old: {"olderThan": "1d"}; ${durationExpected}` };
}

function problemWith(action: AnyAction, given: Record<string, unknown>): string | null {
  const unknown = Object.keys(given).find((field) => !allowed[action].includes(field));
  if (unknown !== undefined) {
    return `${action} does not take ${JSON.stringify(unknown.slice(0, 40))}; it takes ${allowed[action].join(', ')}`;
  }
  return (
    eventProblem(given['event']) ??
    Object.entries(textLimits)
      .map(([field, limit]) => textProblem(field, given[field], limit))
      .find((found) => found !== null) ??
    (given['all'] === undefined || typeof given['all'] === 'boolean' ? null : '"all" is true or false') ??
    editProblem(given) ??
    sizeProblem(given)
  );
}

function eventProblem(event: unknown): string | null {
  if (event === undefined) return null;
  const ids: unknown[] = Array.isArray(event) ? event : [event];
  if (ids.length === 0 || ids.length > maximumIds)
    return `"event" names ${ids.length} ids; name 1 to ${maximumIds}`;
  const wrong = ids.find((id) => typeof id !== 'string' || !isUuid(id));
  return wrong === undefined
    ? null
    : `"event" is an event id (a UUID) or a list of them, got ${kindOf(wrong)}`;
}

function editProblem(given: Record<string, unknown>): string | null {
  const { headers, revision, payloadBase64 } = given;
  if ('payload' in given && given['payload'] === undefined) return '"payload" is empty';
  if (payloadBase64 !== undefined && !(typeof payloadBase64 === 'string' && isBase64(payloadBase64)))
    return '"payloadBase64" is a text in base64';
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
  // PostgreSQL stores no NUL and no half of a surrogate pair.
  if (value.length > limit || /\0|\p{Surrogate}/u.test(value))
    return `"${field}" is a text of at most ${limit} characters, without NUL and broken Unicode`;
  return null;
}

function sizeProblem(given: Record<string, unknown>): string | null {
  const bytes = jsonBytes(given);
  if (bytes === null) return 'the input is not JSON';
  if (bytes <= maximumBytes) return null;
  return `the input has ${bytes} bytes as JSON; at most ${maximumBytes} are taken`;
}

/** Null for what is no JSON: only callers inside this process can send that. */
function jsonBytes(value: unknown): number | null {
  try {
    return utf8Bytes(JSON.stringify(value));
  } catch {
    return null;
  }
}

/** Workflow code has neither Buffer nor, everywhere, TextEncoder. */
function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    // The halves of a surrogate pair count two each.
    if (unit >= 0x80) bytes += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return bytes;
}

function isObjectOfStrings(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((entry) => typeof entry === 'string' && !entry.includes('\0'));
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return `string ${JSON.stringify(value.slice(0, 60))}`;
  return typeof value === 'number' || typeof value === 'boolean' ? `${typeof value} ${value}` : typeof value;
}
