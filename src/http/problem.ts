/** Errors as application/problem+json (RFC 9457), with our code. */
import { STATUS_CODES } from 'node:http';
import type { FastifyReply } from 'fastify';
import { jsonText } from '../core/printable.ts';
import { isOutboxError, OutboxError, type ErrorCode } from '../errors.ts';
import { driverErrorOf } from '../storage/driverError.ts';
import { explainDatabaseError } from '../storage/errors.ts';
import { explainAway } from '../temporal/unreachable.ts';

/** A request that is refused for what it is, whatever it asks for. */
export class RequestRefused extends OutboxError {
  readonly status: number;

  constructor(status: number, message: string, hint?: string) {
    super('OUTBOX_API_REQUEST', message, hint === undefined ? {} : { hint });
    this.status = status;
  }
}

const statusByCode: Partial<Record<ErrorCode, number>> = {
  OUTBOX_EVENT_INVALID: 422,
  OUTBOX_REDRIVE_INVALID: 422,
  OUTBOX_PRODUCER_UNKNOWN: 422,
  OUTBOX_EVENT_CONFLICT: 409,
  OUTBOX_MESSAGE_SETTLED: 409,
  OUTBOX_NOT_FOUND: 404,
  OUTBOX_POSTGRES_UNREACHABLE: 503,
  OUTBOX_POSTGRES_READ_ONLY: 503,
  OUTBOX_POSTGRES_TLS: 503,
  OUTBOX_PARTITION_MISSING: 503,
  OUTBOX_OUTCOME_UNKNOWN: 503,
  OUTBOX_SCHEMA_MISSING: 503,
  OUTBOX_TEMPORAL_UNREACHABLE: 503,
  OUTBOX_TEMPORAL_MISMATCH: 503,
  OUTBOX_COMMAND_REFUSED: 409,
  OUTBOX_RESOLUTION_DENIED: 403,
  OUTBOX_SECOND_PERSON_NEEDED: 403,
  OUTBOX_NO_ANSWER: 504,
};

/** Says what is known of the error to be for the caller's eyes; answers the status, 500 for what is not. */
export function sendProblem(reply: FastifyReply, thrown: unknown): number {
  const { status, code, detail, hint } = describe(thrown);
  void reply
    .code(status)
    .headers(
      status === 503 || status === 429
        ? { 'retry-after': '1' }
        : status === 401
          ? { 'www-authenticate': 'Bearer' }
          : {},
    )
    .type('application/problem+json')
    .send(jsonText({ type: 'about:blank', title: STATUS_CODES[status], status, detail, code, hint }));
  return status;
}

const tryAgain = 'Try again a little later; the log of whoever serves the API says why.';

/** What ended a statement that did nothing wrong; nothing of it was written. */
function databaseBusy(code: string): string | undefined {
  if (code === '55P03')
    return 'another transaction holds what this request waits for, an event of the same key or id perhaps';
  if (code === '57014') return 'the database did not answer in time';
  if (code === '42501') return 'the API’s login may not do this: it takes the role outbox_api';
  return code.startsWith('40') ? 'the database asks to try again' : undefined;
}

interface Described {
  readonly status: number;
  readonly code: ErrorCode | 'OUTBOX_UNEXPECTED';
  readonly detail: string;
  readonly hint?: string | undefined;
}

function describe(thrown: unknown): Described {
  const error = explainAway(explainDatabaseError(thrown, 'the outbox database'), 'its address');
  if (error instanceof RequestRefused)
    return { status: error.status, code: error.code, detail: error.message, hint: error.hint };
  if (isOutboxError(error)) {
    const status = statusByCode[error.code];
    // A driver's words about a server it cannot reach name hosts and users; its hint is for whoever runs that server.
    const server = error.code.startsWith('OUTBOX_TEMPORAL') ? 'Temporal' : 'the outbox database';
    const detail = status === 503 ? `${server} cannot be used at the moment` : error.message;
    if (status !== undefined)
      return { status, code: error.code, detail, hint: status === 503 ? tryAgain : error.hint };
  }
  const {
    code = '',
    statusCode,
    message,
  } = (thrown ?? {}) as { code?: string; statusCode?: number; message?: string };
  const busy = databaseBusy(driverErrorOf(thrown).code ?? '');
  if (busy !== undefined)
    return { status: 503, code: 'OUTBOX_POSTGRES_UNREACHABLE', detail: busy, hint: tryAgain };
  // Fastify's own: what is wrong with the request's form.
  if (code.startsWith('FST_') && statusCode !== undefined && statusCode < 500)
    return {
      status: statusCode,
      code: 'OUTBOX_API_REQUEST',
      detail: message ?? 'the request is malformed',
      hint: statusCode === 415 ? 'Send content-type: application/json.' : undefined,
    };
  return {
    status: 500,
    code: 'OUTBOX_UNEXPECTED',
    detail: 'this request could not be answered; the log says why',
  };
}
