/** `HTTPS_PROXY` and the like, which this package does not follow by itself: whether a destination looks as if somebody expected it to. */
import { classifyHost } from '../../../core/address.ts';
import { readVariable, type Environment } from '../../../core/secrets.ts';

/** The name of the variable that other programs would take a proxy from for this address; null for none. */
export function unusedProxy(address: string, env: Environment): string | null {
  if (!URL.canParse(address)) return null;
  const { protocol, hostname } = new URL(address);
  const names = protocol === 'https:' ? ['HTTPS_PROXY', 'https_proxy'] : ['HTTP_PROXY', 'http_proxy'];
  const name = [...names, 'ALL_PROXY', 'all_proxy'].find((each) => readVariable(env, each) !== undefined);
  // What is private is inside, where no proxy leads.
  if (name === undefined || classifyHost(hostname) === 'private' || !hostname.includes('.')) return null;
  return isExcepted(hostname, readVariable(env, 'NO_PROXY') ?? readVariable(env, 'no_proxy') ?? '')
    ? null
    : name;
}

/** By `*`, the name itself, or a domain it is in: `.example.com`, `example.com`. */
function isExcepted(hostname: string, exceptions: string): boolean {
  return exceptions.split(/[\s,]+/).some((written) => {
    const domain = written
      .replace(/^\*?\./, '')
      .replace(/:\d+$/, '')
      .toLowerCase();
    return domain !== '' && (written === '*' || hostname === domain || hostname.endsWith(`.${domain}`));
  });
}

export function unusedProxyText(name: string): string {
  return `${name} is set and not used here: say proxy: \${${name}} to go through it, or proxy: none to go straight`;
}
