/** From what happened on the wire to a {@link SendOutcome}. */
import { STATUS_CODES } from 'node:http';
import type { FailureDetails, SendOutcome } from '../../core/outcome.ts';
import {
  classifyError,
  classifyStatus,
  type PermanentErrorClass,
  type UnreadableErrorClass,
} from './classify.ts';
import { placeOf } from './location.ts';
import { printable } from '../../core/printable.ts';
import { excerptOf, redact } from '../shared/printable.ts';
import { parseRetryAfter } from './retryAfter.ts';
import type { HttpTarget } from './target.ts';

/** Characters of a failure's message. */
const messageCharacters = 500;

export interface Answer {
  readonly status: number;
  /** As undici hands them over: name, value, name, value. */
  readonly rawHeaders: readonly Buffer[];
  /** The beginning of the body, as far as it was read and kept. */
  readonly body: Buffer;
  readonly bodyComplete: boolean;
  readonly durationMs: number;
}

/** The outcome of an answer other than 2xx. */
export function answeredOutcome(target: HttpTarget, answer: Answer): SendOutcome {
  const { status, durationMs } = answer;
  const verdict = classifyStatus(status, target.config.retry.nonRetryableStatusCodes);
  if (verdict.kind === 'acknowledged') return { kind: 'acknowledged', status, durationMs };
  const phrase = STATUS_CODES[status];
  const moved = status < 400 ? placeOf(target, headerValue(answer.rawHeaders, 'location')) : '';
  const source = {
    body: answer.body,
    complete: answer.bodyComplete,
    contentEncoding: headerValue(answer.rawHeaders, 'content-encoding'),
  };
  const details: FailureDetails = {
    errorClass: `http-${status}`,
    message: line(target, `answered ${status}${phrase === undefined ? '' : ` ${phrase}`}${moved}`),
    status,
    retryAfterMs: parseRetryAfter(headerValue(answer.rawHeaders, 'retry-after'), target.now()),
    excerpt: excerptOf(source, target.secrets, target.config.responseExcerpt),
    durationMs,
  };
  // Only a proxy answers so: the destination was not asked.
  if (status === 407 && target.connect.proxy != null) return { kind: 'unreachable', ...details };
  return { ...verdict, ...details };
}

/** The outcome of an attempt that ended in an error before a final status was read. `begun`: a part of an answer came. */
export function failedOutcome(
  target: HttpTarget,
  error: unknown,
  durationMs: number,
  begun = false,
): SendOutcome {
  const { kind, errorClass } = classifyError(error, begun);
  if (kind === 'refused') return unreadableOutcome(target, errorClass, reason(error), durationMs);
  const details = withoutStatus(errorClass, line(target, `${errorClass}: ${reason(error)}`), durationMs);
  return kind === 'unreachable' ? { kind, ...details } : { kind: 'refused', permanent: true, ...details };
}

/** What was answered is no answer: the receiver has the event, and would get it without end if nobody paid for it. */
function unreadableOutcome(
  target: HttpTarget,
  errorClass: UnreadableErrorClass,
  why: string,
  durationMs: number,
): SendOutcome {
  const text = line(target, `answered, but not in HTTP that can be read (${errorClass}): ${why}`);
  return { kind: 'refused', permanent: false, ...withoutStatus(errorClass, text, durationMs) };
}

/** The outcome of an attempt that was not made, since no attempt could succeed. */
export function impossibleOutcome(errorClass: PermanentErrorClass, problem: string): SendOutcome {
  const details = withoutStatus(errorClass, printable(problem, messageCharacters), 0);
  return { kind: 'refused', permanent: true, ...details };
}

export function timeoutOutcome(target: HttpTarget, connected: boolean, durationMs: number): SendOutcome {
  const stage = connected ? 'no answer' : 'no connection';
  const text = line(target, `timeout: ${stage} within ${target.config.timeoutMs} ms`);
  return { kind: 'unreachable', ...withoutStatus('timeout', text, durationMs) };
}

/** A part of an answer came, and no more in time: the receiver has the event. */
export function unfinishedOutcome(target: HttpTarget, durationMs: number): SendOutcome {
  const why = `its head did not end within ${target.config.timeoutMs} ms`;
  return unreadableOutcome(target, 'invalid-response', why, durationMs);
}

function withoutStatus(errorClass: string, message: string, durationMs: number): FailureDetails {
  return { errorClass, message, status: null, retryAfterMs: null, excerpt: null, durationMs };
}

function line(target: HttpTarget, text: string): string {
  return printable(redact(`${target.label} ${text}`, target.secrets), messageCharacters);
}

/** Errors of a connection to several addresses (AggregateError) have no text of their own. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((each) => (each instanceof Error ? each.message : 'unknown error')).join('; ');
  }
  return error.message === '' ? error.name : error.message;
}

/** The first value of a header; names are compared without case. */
export function headerValue(rawHeaders: readonly Buffer[], name: string): string | null {
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const candidate = rawHeaders[index]!;
    if (candidate.length === name.length && candidate.toString('latin1').toLowerCase() === name) {
      return rawHeaders[index + 1]!.toString('latin1');
    }
  }
  return null;
}
