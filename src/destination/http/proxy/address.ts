/** `proxy:` of a destination: the address of an HTTP proxy, or `none`. */
import { classifyHost, neverReached } from '../../../core/address.ts';
import type { VariableUse } from '../../../core/reserved.ts';
import type { SecretSource } from '../../../core/secrets.ts';
import { resolveSecret, secretName } from '../../../core/secrets.ts';
import { OutboxError } from '../../../errors.ts';
import type { KeyPath } from '../../../settings/findings.ts';
import type { RuleContext } from '../../../settings/ruleContext.ts';
import { expandWritten, resolveWritten } from '../../../settings/values.ts';
import { filledIn } from '../../shared/filledIn.ts';
import { plainProblem, secretsOf, shownAddress, useOf } from '../../shared/plainAddress.ts';

/** Written for a destination that is to be reached directly, whatever the environment says. */
export const direct = 'none';

/** A proxy that requests of one destination go through. */
export interface Proxy {
  readonly url: URL;
  /** For messages: `http://proxy:3128`, without user and password. */
  readonly label: string;
  /** The value of `proxy-authorization`; null where the address holds no user. */
  readonly authorization: string | null;
  /** Texts that no message may show. */
  readonly secrets: readonly string[];
}

/** No message here shows the address where it may hold a password. */
export function checkProxy(path: KeyPath, written: string, context: RuleContext): void {
  if (written === direct) return;
  const { findings } = context;
  const isReference = written.startsWith('env:');
  const text = isReference ? resolveWritten(path, written, context, 'proxy') : written;
  const expanded = text === undefined ? undefined : expandWritten(path, text, context, useIn(written));
  if (expanded === undefined) return;
  const problem = problemOf(expanded);
  if (problem !== null)
    findings.problem(path, `${problem}${expanded === written ? '' : ' (after filling in the environment)'}`);
  else if (expanded === written && new URL(written).password !== '')
    findings.warning(
      path,
      'a password is written in the file and would be stored in the database; use env:NAME for the whole address',
    );
}

/** @throws OutboxError in words without secrets: a variable missing, no address of a proxy */
export function readProxy(written: string | null, source: SecretSource): Proxy | null {
  if (written === null || written === direct) return null;
  const { env } = source;
  const resolve = source.resolveSecret ?? ((reference) => resolveSecret(reference, env, 'proxy'));
  const text = secretName(written) === null ? written : resolve(written, env);
  const address = filledIn('proxy', text, env, useIn(written));
  const problem = problemOf(address);
  if (problem !== null) throw new OutboxError('OUTBOX_CONFIG_INVALID', `proxy: ${problem}`);
  return proxyAt(new URL(address));
}

/** A variable that is the whole address may be one that this process is given for its own proxy. */
function useIn(written: string): VariableUse {
  return useOf(written) === 'address' ? 'proxy' : 'sent';
}

function proxyAt(url: URL): Proxy {
  const { username, password } = url;
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const encoded = Buffer.from(login).toString('base64');
  return {
    url,
    label: shownAddress(url),
    authorization: username === '' ? null : `Basic ${encoded}`,
    secrets: password === '' ? [] : [...secretsOf(url), encoded],
  };
}

function problemOf(text: string): string | null {
  const problem = plainProblem(text, ['http', 'https']);
  if (problem !== null) return problem;
  const { hostname, pathname, search, hash, username, password } = new URL(text);
  if (pathname !== '/' || search !== '' || hash !== '')
    return 'expected an address such as http://proxy:3128, without a path';
  if (!isDecodable(username) || !isDecodable(password))
    return 'expected % in user and password to be written as %25';
  return classifyHost(hostname) === 'forbidden' ? neverReached : null;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
