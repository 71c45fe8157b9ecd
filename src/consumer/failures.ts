/** What a failure means for a message of a queue: the same as over HTTP, so that one handler serves both. */
import { printable } from '../core/printable.ts';
import { isOutboxError } from '../errors.ts';
import { answerTo, Refusal } from '../receiver/answers.ts';
import { driverErrorOf } from '../storage/driverError.ts';
import { httpDefaults } from '../destination/http/limits.ts';

export interface Failure {
  /**
   * `failed`: charged. `refused`: no attempt will be otherwise. `postponed`: not possible now, and nobody's fault. `inbox`: the inbox
   * itself is not usable.
   */
  readonly kind: 'failed' | 'refused' | 'postponed' | 'inbox';
  /** Why it was parked, if it is: `refused`, `conflict`, `revision`, `expired`, `attempts-exhausted`. */
  readonly reason: string;
  readonly text: string;
  /** What the handler asked for; null when it asked nothing. */
  readonly retryAfterMs: number | null;
}

const reasons: Readonly<Record<string, string>> = {
  OUTBOX_INBOX_CONFLICT: 'conflict',
  OUTBOX_INBOX_REVISION: 'revision',
  OUTBOX_INBOX_EXPIRED: 'expired',
  OUTBOX_INBOX_INVALID: 'invalid-id',
};

export function failureOf(error: unknown, during: 'claim' | 'handler'): Failure {
  const { status, headers } = answerTo(error, during);
  const text = errorLine(error);
  const asked = headers['retry-after'];
  const retryAfterMs = error instanceof Refusal && asked !== undefined ? Number(asked) * 1000 : null;
  const known = isOutboxError(error) ? reasons[error.code] : undefined;
  if (status === 409 && isOutboxError(error))
    return { kind: 'postponed', reason: 'in-progress', text, retryAfterMs: 1000 };
  if ([429, 502, 503, 504].includes(status))
    return {
      kind: during === 'claim' ? 'inbox' : 'postponed',
      reason: 'schedule-to-close',
      text,
      retryAfterMs,
    };
  const { nonRetryableStatusCodes }: { nonRetryableStatusCodes: readonly number[] } = httpDefaults.retry;
  if (nonRetryableStatusCodes.includes(status))
    return { kind: 'refused', reason: known ?? 'refused', text, retryAfterMs };
  return { kind: 'failed', reason: 'attempts-exhausted', text, retryAfterMs };
}

/** One line for a person: the message and PostgreSQL's code, never a stack. */
export function errorLine(error: unknown): string {
  const { code } = driverErrorOf(error);
  const message = error instanceof Error ? error.message || error.name : String(error);
  const named = code === undefined || message.includes(code) ? message : `${message} (${code})`;
  return printable(named, 1000);
}
