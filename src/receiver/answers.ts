/** What a receiver answers, in the sender's terms: 2xx acknowledges, 4xx is charged to the event, 503 to nobody. */
import { isOutboxError, OutboxError, type ErrorCode } from '../errors.ts';
import { driverErrorOf } from '../storage/driverError.ts';
import { isTransient } from '../storage/errors.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Plain text for a person who looks at the dead letter; null with 204, which has no body. */
  readonly body: string | null;
}

/**
 * Thrown by a handler to say no: everything is rolled back, and the sender gets this status. 4xx (and 500) are charged to the
 * event, of which 400, 401, 403, 404, 405, 410, 413, 415 and 422 park it at once; 429, 502, 503 and 504 cost it nothing.
 *
 * @example throw new Refusal(422, 'the total must not be negative');
 */
export class Refusal extends Error {
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;

  /** @param message goes to the sender, and to whoever looks at the dead letter */
  constructor(status: number, message: string, options: { readonly retryAfterSeconds?: number } = {}) {
    super(message);
    this.name = 'Refusal';
    if (!Number.isInteger(status) || status < 400 || status > 599)
      throw new OutboxError('OUTBOX_INBOX_INVALID', `status: expected 400 to 599, got ${String(status)}`);
    this.status = status;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export function refusal(status: number, text: string, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
    body: `${text}\n`,
  };
}

/** @param outcome `processed`, `duplicate`, `superseded`, `skipped` or `ping`, for those who look at the traffic */
export function acknowledgement(outcome: string): Answer {
  return { status: 204, headers: { 'outbox-inbox': outcome }, body: null };
}

/** Seconds. Long enough for a restart, short enough not to be felt. */
const retryAfterOutage = '5';
const retryAfterFault = '30';

const byCode: Partial<Record<ErrorCode, readonly [status: number, retryAfter?: string]>> = {
  OUTBOX_SIGNATURE_INVALID: [401],
  OUTBOX_INBOX_IN_PROGRESS: [409, '1'],
  OUTBOX_INBOX_CONFLICT: [422],
  OUTBOX_INBOX_REVISION: [422],
  OUTBOX_INBOX_INVALID: [422],
  // Parks this message and says nothing of the endpoint, as 410 would: that stops a sender of Standard Webhooks altogether.
  OUTBOX_INBOX_EXPIRED: [422],
  // The receiver's own fault, and the same for every message: none of them shall pay for it.
  OUTBOX_SCHEMA_MISSING: [503, retryAfterFault],
  OUTBOX_SCHEMA_NEWER: [503, retryAfterFault],
};

/** What the sender is told; never a stack, nor anything of an error that was not meant for it. */
export function answerTo(error: unknown, during: 'claim' | 'handler'): Answer {
  if (error instanceof Refusal) {
    const { status, message, retryAfterSeconds } = error;
    const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
    return refusal(status, message, headers);
  }
  const known = isOutboxError(error) ? byCode[error.code] : undefined;
  if (known !== undefined) {
    const [status, retryAfter] = known;
    const text = status === 503 ? 'the inbox is not ready' : (error as OutboxError).message;
    return refusal(status, text, retryAfter === undefined ? {} : { 'retry-after': retryAfter });
  }
  if (isTransient(error) || isReadOnly(error))
    return refusal(503, 'a database or service is not available', { 'retry-after': retryAfterOutage });
  if (during === 'claim') return refusal(503, 'the inbox is not usable', { 'retry-after': retryAfterFault });
  return refusal(500, 'the handler failed');
}

/** Whether somebody has to look at it: said to `onError`. Refusals on purpose and twins at work are no faults. */
export function isFault(error: unknown): boolean {
  if (error instanceof Refusal) return false;
  const status = isOutboxError(error) ? byCode[error.code]?.[0] : undefined;
  return status === undefined || status === 503;
}

/** A failover is under way: the pool still leads to the server that was the primary. */
function isReadOnly(error: unknown): boolean {
  return driverErrorOf(error).code === '25006';
}
