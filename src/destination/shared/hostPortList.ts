/** A text of `host:port`, commas or semicolons between several, of any host: consumers name their servers in code, and load nothing for it. */
import { secretName, type SecretSource } from '../../core/secrets.ts';
import { OutboxError } from '../../errors.ts';
import { filledIn } from './filledIn.ts';
import { readSecret } from './secretValues.ts';

const expected = 'expected host:port';

/** What is said against a host, null for nothing. */
export type HostRefusal = (host: string) => string | null;

const nothing: HostRefusal = () => null;

/** How a text becomes addresses: `readHostPortList`, or `readHostPorts`, which refuses what is never reached. */
export type ReadHostPorts = (key: string, written: string, source: SecretSource) => string[];

/** @throws OutboxError in words: a variable missing, no `host:port`, a host that is refused */
export function readHostPortList(
  key: string,
  written: string,
  source: SecretSource,
  refusal: HostRefusal = nothing,
): string[] {
  const resolved = secretName(written) === null ? written : readSecret(written, source);
  const text = filledIn(key, resolved, source.env);
  const problem = problemOfHostPorts(text, refusal);
  if (problem !== null) throw new OutboxError('OUTBOX_CONFIG_INVALID', `${key}: ${problem}`);
  return split(text);
}

function split(text: string): string[] {
  return text
    .split(/[,;]/)
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

export function problemOfHostPorts(text: string, refusal: HostRefusal): string | null {
  const each = split(text);
  if (each.length === 0) return expected;
  for (const one of each) {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(one)?.[1];
    if (scheme !== undefined) return `${expected}, without the scheme ${scheme.slice(0, 20)}://`;
    const [, host, port] = /^(\[[0-9a-f:.]+\]|[^\s:/@?#\\]+):(\d{1,5})$/i.exec(one) ?? [];
    if (host === undefined || Number(port) < 1 || Number(port) > 65_535) return expected;
    const refused = refusal(host);
    if (refused !== null) return refused;
  }
  return null;
}
