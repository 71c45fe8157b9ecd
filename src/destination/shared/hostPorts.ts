/** Servers as `host:port`: a list of the file, each written out, with `${NAME}` inside, or `env:NAME`; commas part several in one text. */
import { classifyHost, neverReached } from '../../core/address.ts';
import { secretName } from '../../core/secrets.ts';
import { OutboxError } from '../../errors.ts';
import type { KeyPath } from '../../settings/findings.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { expandWritten, resolveWritten } from '../../settings/values.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { filledIn } from './filledIn.ts';
import { readSecret } from './secretValues.ts';

const expected = 'expected host:port';

export function checkHostPorts(path: KeyPath, written: string, context: RuleContext): void {
  const text = written.startsWith('env:') ? resolveWritten(path, written, context) : written;
  if (text === undefined) return;
  const expanded = expandWritten(path, text, context);
  if (expanded === undefined) return;
  const problem = problemOf(expanded);
  if (problem !== null)
    context.findings.problem(
      path,
      `${problem}${expanded === written ? '' : ' (after filling in the environment)'}`,
    );
}

/** @throws OutboxError in words: a variable missing, no `host:port` */
export function readHostPorts(key: string, written: string, source: SecretSource): string[] {
  const resolved = secretName(written) === null ? written : readSecret(written, source);
  const text = filledIn(key, resolved, source.env);
  const problem = problemOf(text);
  if (problem !== null) throw new OutboxError('OUTBOX_CONFIG_INVALID', `${key}: ${problem}`);
  return split(text);
}

/** For `config explain`: as written where a variable is missing. Never throws. */
export function explainedHostPorts(written: readonly string[], source: SecretSource): string {
  return written
    .flatMap((each) => {
      try {
        return readHostPorts('', each, source);
      } catch {
        return [`${each} (not set or no host:port)`];
      }
    })
    .join(', ');
}

function split(text: string): string[] {
  return text
    .split(/[,;]/)
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

function problemOf(text: string): string | null {
  const each = split(text);
  if (each.length === 0) return expected;
  for (const one of each) {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(one)?.[1];
    if (scheme !== undefined) return `${expected}, without the scheme ${scheme.slice(0, 20)}://`;
    const [, host, port] = /^(\[[0-9a-f:.]+\]|[^\s:/@?#\\]+):(\d{1,5})$/i.exec(one) ?? [];
    if (host === undefined || Number(port) < 1 || Number(port) > 65_535) return expected;
    if (classifyHost(host) === 'forbidden') return neverReached;
  }
  return null;
}
