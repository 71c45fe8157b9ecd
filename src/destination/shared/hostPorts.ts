/** Servers as `host:port`: a list of the file, each written out, with `${NAME}` inside, or `env:NAME`; commas part several in one text. */
import { classifyHost, neverReached } from '../../core/address.ts';
import type { KeyPath } from '../../settings/findings.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { expandWritten, resolveWritten } from '../../settings/values.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { problemOfHostPorts, readHostPortList, type HostRefusal } from './hostPortList.ts';

const refusal: HostRefusal = (host) => (classifyHost(host) === 'forbidden' ? neverReached : null);

export function checkHostPorts(path: KeyPath, written: string, context: RuleContext): void {
  const text = written.startsWith('env:') ? resolveWritten(path, written, context) : written;
  if (text === undefined) return;
  const expanded = expandWritten(path, text, context);
  if (expanded === undefined) return;
  const problem = problemOfHostPorts(expanded, refusal);
  if (problem !== null)
    context.findings.problem(
      path,
      `${problem}${expanded === written ? '' : ' (after filling in the environment)'}`,
    );
}

/** @throws OutboxError in words: a variable missing, no `host:port`, a host that is never reached */
export function readHostPorts(key: string, written: string, source: SecretSource): string[] {
  return readHostPortList(key, written, source, refusal);
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
