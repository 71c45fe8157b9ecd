/**
 * How an attempt failed, as a type's code throws it. Classes are lasting names that group alike failures; these are shared by all
 * types, so that what they mean for a destination is known without knowing its protocol:
 *
 * | class | |
 * |---|---|
 * | `unroutable` | refused: nobody would get it (no binding, no stream takes the subject) |
 * | `too-large` | refused: above a limit, which the message names |
 * | `invalid-message` | refused: something the template needs is absent, or cannot be carried |
 * | `rejected` | refused by a rule of the server or its target |
 * | `unknown-target`, `wrong-target`, `access-refused` | refused, the destination's fault: what it names is not there, not of the right kind, or not ours |
 * | `bad-configuration` | refused, the destination's fault: nothing can be sent with these settings |
 * | `blocked`, `throttled`, `not-ready`, `timeout`, `connection-…`, `network-…` | unreachable: never charged |
 */
export class SendFailure extends Error {
  readonly kind: 'refused' | 'unreachable';
  readonly permanent: boolean;
  readonly errorClass: string;
  readonly retryAfterMs: number | null;

  constructor(
    kind: 'refused' | 'unreachable',
    errorClass: string,
    message: string,
    { permanent = true, retryAfterMs = null }: { permanent?: boolean; retryAfterMs?: number | null } = {},
  ) {
    super(message);
    this.name = 'SendFailure';
    this.kind = kind;
    this.permanent = permanent;
    this.errorClass = errorClass;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The server, or its protocol, will never take this message. `permanent: false`: another time perhaps, but it costs an attempt. */
export function refused(
  errorClass: string,
  message: string,
  options: { permanent?: boolean } = {},
): SendFailure {
  return new SendFailure('refused', errorClass, message, options);
}

/** The server could not be asked, or cannot say now. */
export function unreachable(
  errorClass: string,
  message: string,
  options: { retryAfterMs?: number | null } = {},
): SendFailure {
  return new SendFailure('unreachable', errorClass, message, options);
}

/** The text of a template for an event, or the failure there is without it. `what`: what it is for, `routing key`. */
export function filled(
  filling: { readonly value: string } | { readonly missing: string } | { readonly notLoaded: string },
  what: string,
): string {
  if ('value' in filling) return filling.value;
  if ('missing' in filling) throw refused('invalid-message', `no ${what}: ${filling.missing}`);
  throw unreachable('configuration-changed', `no ${what} yet: ${filling.notLoaded}`);
}

/** Refuses what is larger than a limit known before sending. */
export function requireSize(bytes: number, limit: number, named: string): void {
  if (bytes > limit) throw refused('too-large', `${bytes} bytes, more than ${named} allows (${limit} bytes)`);
}
