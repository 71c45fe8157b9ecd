/** The address of a server as a type's key holds it: written out, with `${NAME}` inside, or `env:NAME` as a whole. */
import { classifyHost, neverReached } from '../../core/address.ts';
import { expandEnvironment } from '../../core/environment.ts';
import type { VariableUse } from '../../core/reserved.ts';
import { resolveSecret, secretName } from '../../core/secrets.ts';
import { OutboxError } from '../../errors.ts';
import type { KeyPath } from '../../settings/findings.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { expandWritten, resolveWritten } from '../../settings/values.ts';
import type { SecretSource } from '../type.ts';
import { filledIn } from './filledIn.ts';

/** `schemes` without the colon: `['amqp', 'amqps']`. */
export function checkServerAddress(
  path: KeyPath,
  written: string,
  schemes: readonly string[],
  context: RuleContext,
): void {
  const { findings } = context;
  const text =
    secretName(written) === null && !written.startsWith('env:')
      ? written
      : resolveWritten(path, written, context, 'address');
  if (text === undefined) return;
  const expanded = expandWritten(path, text, context, useOf(text));
  if (expanded === undefined) return;
  const problem = addressProblem(expanded, schemes);
  if (problem !== null)
    return findings.problem(
      path,
      `${problem}${expanded === written ? '' : ' (after filling in the environment)'}`,
    );
  if (expanded === written && new URL(written).password !== '')
    findings.warning(
      path,
      'a password is written in the file and would be stored in the database; use env:NAME for the whole address',
    );
}

/** Credentials inside a variable are for the server that it names, and for no other that it is written into. */
function useOf(written: string): VariableUse {
  return /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/.test(written) ? 'address' : 'sent';
}

function addressProblem(text: string, schemes: readonly string[]): string | null {
  const expected = `expected an address such as ${schemes[0]}://host`;
  if (/[\s\u0000-\u001f\u007f\\]/.test(text))
    return `${expected}, without spaces, backslashes and control characters`;
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined || !schemes.includes(scheme))
    return `${expected}${scheme === undefined ? '' : `, found the scheme ${scheme.slice(0, 20)}:`}`;
  if (!URL.canParse(text) || new URL(text).hostname === '') return `${expected}, with a host`;
  return classifyHost(new URL(text).hostname) === 'forbidden' ? neverReached : null;
}

/**
 * The address to connect to.
 * @throws OutboxError in words without secrets: a variable missing, no address of these schemes
 */
export function readServerAddress(
  key: string,
  written: string,
  schemes: readonly string[],
  source: SecretSource,
): URL {
  const { env } = source;
  const isReference = secretName(written) !== null;
  const resolve = source.resolveSecret ?? ((reference) => resolveSecret(reference, env, 'address'));
  const text = filledIn(key, isReference ? resolve(written, env) : written, env, useOf(written));
  const problem = addressProblem(text, schemes);
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

/** The address for `config explain`: as written where a variable is missing. Never throws. */
export function explainedAddress(written: string, schemes: readonly string[], source: SecretSource): string {
  try {
    return shownAddress(readServerAddress('url', written, schemes, source));
  } catch {
    const { missing } = expandEnvironment(written, source.env);
    const name = secretName(written);
    const absent = name === null ? missing : [name];
    return absent.length === 0 ? 'no address of its kind' : `${written} (not set: ${absent.join(', ')})`;
  }
}

/** Texts of an address that no message may show. */
export function secretsOf({ password }: URL): string[] {
  if (password.length < 4) return [];
  return [...new Set([password, decodeURIComponent(password)])];
}
