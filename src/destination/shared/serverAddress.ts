/** The address of a server as a type's key holds it: written out, with `${NAME}` inside, or `env:NAME` as a whole. */
import { classifyHost, neverReached } from '../../core/address.ts';
import { expandEnvironment } from '../../core/environment.ts';
import { secretName } from '../../core/secrets.ts';
import type { KeyPath } from '../../settings/findings.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { expandWritten, resolveWritten } from '../../settings/values.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { plainProblem, readPlainAddress, shownAddress, useOf } from './plainAddress.ts';

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

function addressProblem(text: string, schemes: readonly string[]): string | null {
  const problem = plainProblem(text, schemes);
  if (problem !== null) return problem;
  return classifyHost(new URL(text).hostname) === 'forbidden' ? neverReached : null;
}

/**
 * The address to connect to.
 * @throws OutboxError in words without secrets: a variable missing, no address of these schemes, one that is never reached
 */
export function readServerAddress(
  key: string,
  written: string,
  schemes: readonly string[],
  source: SecretSource,
): URL {
  return readPlainAddress(key, written, schemes, source, addressProblem);
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
