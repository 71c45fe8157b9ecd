/** References to secrets: `env:NAME` is read by the process that sends; anything else is the secret itself. */
import { OutboxError } from '../errors.ts';
import { whyClosed, type VariableUse } from './reserved.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where references are read from. */
export interface SecretSource {
  /** Where `${X}` and `env:X` are read from; `process.env` in production. */
  readonly env: Environment;
  /** Turns `env:NAME` or a literal into the secret; throws when it is missing. Default: reads `env`. */
  readonly resolveSecret?: (reference: string, env: Environment) => string;
}

const referencePattern = /^env:([A-Za-z_][A-Za-z0-9_]*)$/;

/** The NAME of `env:NAME`; null for a literal. */
export function secretName(reference: string): string | null {
  return referencePattern.exec(reference)?.[1] ?? null;
}

/** `env:` followed by something that cannot be the name of an environment variable; almost surely a slip. */
export function isMalformedReference(reference: string): boolean {
  return reference.startsWith('env:') && !referencePattern.test(reference);
}

/**
 * The value of `env:NAME`, or the literal itself.
 * @throws OutboxError OUTBOX_SECRET_MISSING when the variable is absent or empty; the message names it, nothing more
 * @throws OutboxError OUTBOX_VARIABLE_CLOSED when it is reserved for this process, or not among those that OUTBOX_ENV_ALLOW opens
 */
export function resolveSecret(reference: string, env: Environment, use: VariableUse = 'sent'): string {
  const name = secretName(reference);
  if (name === null) {
    if (reference !== '' && !isMalformedReference(reference)) return reference;
    throw new OutboxError(
      'OUTBOX_SECRET_MISSING',
      'A secret reference is empty or not of the form env:NAME',
      {
        hint: 'Write env:NAME, with letters, digits and _ in NAME.',
      },
    );
  }
  const closed = whyClosed(name, env, use);
  if (closed !== null) throw new OutboxError('OUTBOX_VARIABLE_CLOSED', closed, { hint: closedHint });
  const value = readVariable(env, name);
  if (value !== undefined) return value;
  throw new OutboxError('OUTBOX_SECRET_MISSING', `The environment variable ${name} is missing or empty`, {
    hint: `Set ${name} for every process that sends (run, worker).`,
  });
}

export const closedHint =
  'Give the value under a name of its own, such as BILLING_TOKEN, and open that with OUTBOX_ENV_ALLOW where it is set.';

/** An own, non-empty variable: process.env inherits `constructor` and the like from Object.prototype. */
export function readVariable(env: Environment, name: string): string | undefined {
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  return value === '' ? undefined : value;
}

/** Standard Webhooks 1.0.0: `whsec_` and base64 of 24 to 64 bytes. Says what is wrong, never the value; null if nothing. */
export function signingSecretProblem(secret: string): string | null {
  const expected = 'whsec_ followed by base64 of 24 to 64 bytes';
  if (!secret.startsWith('whsec_')) return `expected ${expected}; it does not begin with whsec_`;
  const encoded = secret.slice('whsec_'.length);
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(encoded) || encoded.length % 4 !== 0) {
    return `expected ${expected}; what follows whsec_ is not base64`;
  }
  const bytes = (encoded.length / 4) * 3 - (encoded.length - encoded.replace(/=+$/, '').length);
  return bytes >= 24 && bytes <= 64 ? null : `expected ${expected}; it holds ${bytes} bytes`;
}
