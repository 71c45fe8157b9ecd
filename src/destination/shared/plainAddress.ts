/** The address of a server: read, and shown. Without the judgement on where it may lead, which is for what others configure. */
import type { VariableUse } from '../../core/reserved.ts';
import { resolveSecret, secretName } from '../../core/secrets.ts';
import { OutboxError } from '../../errors.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { filledIn } from './filledIn.ts';

/** Credentials inside a variable are for the server that it names, and for no other that it is written into. */
export function useOf(written: string): VariableUse {
  return /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/.test(written) ? 'address' : 'sent';
}

/** What is wrong with it as a text; null when nothing is. */
export function plainProblem(text: string, schemes: readonly string[]): string | null {
  const expected = `expected an address such as ${schemes[0]}://host`;
  if (/[\s\u0000-\u001f\u007f\\]/.test(text))
    return `${expected}, without spaces, backslashes and control characters`;
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined || !schemes.includes(scheme))
    return `${expected}${scheme === undefined ? '' : `, found the scheme ${scheme.slice(0, 20)}:`}`;
  if (!URL.canParse(text) || new URL(text).hostname === '') return `${expected}, with a host`;
  return null;
}

/**
 * The address to connect to.
 * @throws OutboxError in words without secrets: a variable missing, no address of these schemes
 */
export function readPlainAddress(
  key: string,
  written: string,
  schemes: readonly string[],
  source: SecretSource,
  problemOf: (text: string, schemes: readonly string[]) => string | null = plainProblem,
): URL {
  const { env } = source;
  const isReference = secretName(written) !== null;
  const resolve = source.resolveSecret ?? ((reference) => resolveSecret(reference, env, 'address'));
  const text = filledIn(key, isReference ? resolve(written, env) : written, env, useOf(written));
  const problem = problemOf(text, schemes);
  if (problem !== null) throw new OutboxError('OUTBOX_CONFIG_INVALID', `${key}: ${problem}`);
  return new URL(text);
}

/** For people: scheme, host, port and path, without user, password and query. */
export function shownAddress({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}

/** For messages about several: the first, and how many more. */
export function labelOf(addresses: readonly string[]): string {
  const [first = ''] = addresses;
  return addresses.length === 1 ? first : `${first} and ${addresses.length - 1} more`;
}

/** Texts of an address that no message may show. */
export function secretsOf({ password }: URL): string[] {
  if (password.length < 4) return [];
  return [...new Set([password, decodeURIComponent(password)])];
}
