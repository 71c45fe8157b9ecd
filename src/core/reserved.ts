/**
 * Which variables a configuration may name. Whoever may apply one chooses where requests go and what they carry, so what this process itself
 * logs in with stays out of its reach; OUTBOX_ENV_ALLOW narrows it down to names meant for it.
 */
type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What a variable is wanted for: to be sent to a receiver, to be compared with what callers of our API send, or as the whole address of a server, whose
 * credentials go to that server alone; or as the address of the proxy that requests go through.
 */
export type VariableUse = 'sent' | 'api-token' | 'address' | 'proxy';

const ownToken = /^OUTBOX_API_TOKEN/;
const proxies = /^(HTTPS?_PROXY|ALL_PROXY)$/;

/** Of this process, of the libraries in it, and of the machine it runs on. */
const reserved: readonly RegExp[] = [
  /^OUTBOX_(.*DATABASE.*|ENV_ALLOW|FAILPOINTS)$/,
  ownToken,
  /^TEMPORAL_/,
  /^PG[A-Z]+$/,
  /(^|_)(DATABASE|POSTGRES|POSTGRESQL|PG|DB)_(URL|URI|DSN|PASSWORD|PASS)$/,
  /^(PGPASS|POSTGRES|MYSQL)_/,
  /^AWS_(?!REGION$|DEFAULT_REGION$|ACCOUNT_ID$)/,
  /^AZURE_(CLIENT_SECRET|CLIENT_CERTIFICATE.*|USERNAME|PASSWORD|FEDERATED.*)$/,
  /^(GOOGLE_(APPLICATION_)?CREDENTIALS|GOOGLE_OAUTH_ACCESS_TOKEN|VAULT_TOKEN|NPM_TOKEN|GITHUB_TOKEN|KUBECONFIG)$/,
  /^(NODE|LD|DYLD)_/,
  /^(PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|SSLKEYLOGFILE)$/,
  proxies,
];

/** `scheme://user:password@host`: whatever it is called, it opens something. */
const addressWithCredentials = /^(?!https?:)[a-z][a-z0-9+.-]*:\/\/[^\s/]*@/i;

/** Why the variable is closed to configurations here, or null. The words hold no value. */
export function whyClosed(name: string, env: Environment, use: VariableUse = 'sent'): string | null {
  // Windows does not tell upper from lower case.
  const upper = name.toUpperCase();
  if (use === 'api-token' && ownToken.test(upper)) return null;
  if (use === 'proxy' && proxies.test(upper)) return null;
  if (reserved.some((pattern) => pattern.test(upper)))
    return `the environment variable ${name} is reserved for this process itself and is not given to a configuration`;
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (use !== 'address' && use !== 'proxy' && value !== undefined && addressWithCredentials.test(value))
    return `the environment variable ${name} holds an address with credentials inside, which is not given to a configuration`;
  return isAllowed(name, env)
    ? null
    : `the environment variable ${name} is not among those that OUTBOX_ENV_ALLOW opens to a configuration`;
}

/** Names apart by commas, `*` for anything: `BILLING_*, STOCK_URL`. Absent or empty: all that is not reserved. */
function isAllowed(name: string, env: Environment): boolean {
  const listed = 'OUTBOX_ENV_ALLOW' in env ? (env['OUTBOX_ENV_ALLOW'] ?? '').trim() : '';
  if (listed === '') return true;
  return listed.split(',').some((written) => matches(written.trim(), name));
}

function matches(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return pattern === name;
  const last = rest.pop() ?? '';
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length)
    return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found === -1 || found + part.length > name.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}
