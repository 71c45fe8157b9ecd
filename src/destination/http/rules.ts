/** What an http destination may not say: addresses, headers and secrets. No message here shows a value of them. */
import { classifyHost, neverReached } from '../../core/address.ts';
import { expandEnvironment } from '../../core/environment.ts';
import { secretName, signingSecretProblem } from '../../core/secrets.ts';
import type { KeyPath } from '../../settings/findings.ts';
import { bounds } from '../../settings/limits.ts';
import { isMapping, type Mapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import {
  checkCredential,
  checkSecret,
  expandWritten,
  headerValueProblem,
  refusePlaceholder,
  resolveWritten,
  warnInline,
} from '../../settings/values.ts';
import { checkTls } from '../shared/tls.ts';
import { httpBounds } from './limits.ts';
import { checkProxy } from './proxy/address.ts';
import { unusedProxy, unusedProxyText } from './proxy/environment.ts';

export function checkHttp(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const network = destination['network'];
  const allowPrivate = !(isMapping(network) && network['allowPrivate'] === false);
  if (typeof destination['url'] === 'string')
    checkUrl([...path, 'url'], destination['url'], allowPrivate, context);
  const { circuit } = destination;
  if (isMapping(circuit) && typeof circuit['probeUrl'] === 'string')
    checkUrl([...path, 'circuit', 'probeUrl'], circuit['probeUrl'], allowPrivate, context);
  checkTls([...path, 'tls'], destination['tls'], context);
  const { proxy, url } = destination;
  if (typeof proxy === 'string') checkProxy([...path, 'proxy'], proxy, context);
  else if (typeof url === 'string') adviseProxy(path, url, context);
  if (isMapping(destination['headers'])) checkHeaders([...path, 'headers'], destination, context);
  if (destination['auth'] !== undefined)
    checkAuth([...path, 'auth'], destination['auth'], allowPrivate, context);
  if (isMapping(destination['signing'])) checkSigning([...path, 'signing'], destination['signing'], context);
}

function checkUrl(path: KeyPath, written: string, allowPrivate: boolean, context: RuleContext): void {
  const text = expandWritten(path, written, context);
  if (text === undefined) return;
  const problem = urlProblem(text, allowPrivate);
  const from = text === written ? '' : ' (after filling in the environment)';
  if (problem !== null) context.findings.problem(path, `${problem}${from}`);
}

function adviseProxy(path: KeyPath, url: string, { env, findings }: RuleContext): void {
  const name = unusedProxy(expandEnvironment(url, env).text, env);
  if (name !== null) findings.warning(path, unusedProxyText(name));
}

function urlProblem(text: string, allowPrivate: boolean): string | null {
  // The URL parser drops tabs and line breaks and takes `http:host` and `http:\\host`; whoever wrote that meant none of it.
  if (/[\s\\\u0000-\u001f\u007f]/.test(text))
    return 'expected an address without spaces, backslashes and control characters';
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') {
    return `expected an http:// or https:// address${scheme === undefined ? '' : `, found the scheme ${scheme.slice(0, 20)}:`}`;
  }
  if (!/^https?:\/\/[^/?#]/i.test(text) || !URL.canParse(text))
    return 'expected a host after http:// or https://';
  if (text.length > bounds.urlLength.max) return `expected at most ${bounds.urlLength.max} characters`;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return 'expected no credentials in the address; use auth';
  if (text.includes('#')) return 'expected no #fragment; it is never sent';
  return hostProblem(url.hostname, allowPrivate);
}

function hostProblem(hostname: string, allowPrivate: boolean): string | null {
  const kind = classifyHost(hostname);
  if (kind === 'forbidden') return neverReached;
  return kind === 'private' && !allowPrivate
    ? 'expected a public address, as network.allowPrivate is false'
    : null;
}

/** RFC 9110, 5.6.2. */
const tokenPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Set by the transport or by us for every message; a static value would break framing, signatures or idempotency. */
const ownHeaders = new Set([
  ...[
    'host',
    'content-length',
    'transfer-encoding',
    'connection',
    'keep-alive',
    'upgrade',
    'te',
    'trailer',
    'expect',
  ],
  ...['proxy-connection', 'proxy-authorization', 'idempotency-key', 'traceparent', 'tracestate'],
]);
const ownPrefixes = ['webhook-', 'outbox-'];

function checkHeaders(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const { findings } = context;
  const headers = destination['headers'] as Mapping;
  const seen = new Set<string>();
  if (Object.keys(headers).length > httpBounds.headers.max) {
    findings.problem(path, `expected at most ${httpBounds.headers.max} headers`);
  }
  for (const [name, value] of Object.entries(headers)) {
    const problem = headerNameProblem(name, seen, destination);
    if (problem !== null) findings.keyProblem([...path, name], problem);
    if (typeof value === 'string') checkHeaderValue([...path, name], name, value, context);
    seen.add(name.toLowerCase());
  }
}

function headerNameProblem(name: string, seen: ReadonlySet<string>, destination: Mapping): string | null {
  const lower = name.toLowerCase();
  if (!tokenPattern.test(name)) return 'expected a header name: letters, digits and - without spaces';
  const { auth, cloudEvents = 'none' } = destination;
  const prefixes = cloudEvents === 'none' ? ownPrefixes : [...ownPrefixes, 'ce-'];
  if (ownHeaders.has(lower) || prefixes.some((prefix) => lower.startsWith(prefix))) {
    return 'expected another header; this one is set for every message and cannot be replaced';
  }
  if (lower === 'authorization' && auth !== undefined) return 'expected either this header or auth, not both';
  return seen.has(lower) ? 'written twice; header names do not differ by case' : null;
}

function checkHeaderValue(path: KeyPath, name: string, written: string, context: RuleContext): void {
  const value = resolveWritten(path, written, context);
  if (value === undefined) return;
  const problem = headerValueProblem(value);
  if (problem !== null) context.findings.problem(path, problem);
  if (secretName(written) === null && /^(authorization|cookie)$|token|secret|api-?key|password/i.test(name)) {
    warnInline(path, context);
  }
  refusePlaceholder(path, written, context);
}

function checkAuth(path: KeyPath, auth: unknown, allowPrivate: boolean, context: RuleContext): void {
  if (!isMapping(auth)) return;
  if (['bearer', 'basic', 'oauth2'].filter((way) => way in auth).length !== 1) {
    context.findings.problem(path, 'expected exactly one of bearer, basic and oauth2');
  }
  if (isMapping(auth['oauth2'])) checkOauth2([...path, 'oauth2'], auth['oauth2'], allowPrivate, context);
  if (typeof auth['bearer'] === 'string') checkCredential([...path, 'bearer'], auth['bearer'], context);
  const basic = auth['basic'];
  if (!isMapping(basic)) return;
  if (typeof basic['password'] === 'string')
    checkCredential([...path, 'basic', 'password'], basic['password'], context);
  if (typeof basic['username'] === 'string')
    checkUsername([...path, 'basic', 'username'], basic['username'], context);
}

function checkOauth2(path: KeyPath, oauth2: Mapping, allowPrivate: boolean, context: RuleContext): void {
  const { tokenUrl, clientId, clientSecret, tls } = oauth2;
  if (typeof tokenUrl === 'string') {
    checkUrl([...path, 'tokenUrl'], tokenUrl, allowPrivate, context);
    if (/^http:/i.test(tokenUrl))
      context.findings.warning(
        [...path, 'tokenUrl'],
        'without https the client secret and tokens travel as they are',
      );
  }
  if (typeof clientId === 'string') {
    resolveWritten([...path, 'clientId'], clientId, context);
    refusePlaceholder([...path, 'clientId'], clientId, context);
  }
  if (typeof clientSecret === 'string') checkSecret([...path, 'clientSecret'], clientSecret, context);
  checkTls([...path, 'tls'], tls, context);
}

function checkUsername(path: KeyPath, written: string, context: RuleContext): void {
  const value = resolveWritten(path, written, context);
  // RFC 7617: the first colon ends the user name.
  if (value?.includes(':')) context.findings.problem(path, 'expected a user name without a colon');
  refusePlaceholder(path, written, context);
}

function checkSigning(path: KeyPath, signing: Mapping, context: RuleContext): void {
  const secrets = signing['secrets'];
  if (!Array.isArray(secrets)) return;
  for (const [index, written] of (secrets as unknown[]).entries()) {
    if (typeof written !== 'string' || written === '') continue;
    const place = [...path, 'secrets', index];
    const value = resolveWritten(place, written, context);
    if (value === undefined) continue;
    const name = secretName(written);
    const problem = signingSecretProblem(value);
    if (name === null) warnInline(place, context);
    if (problem === null) continue;
    context.findings.problem(place, name === null ? problem : `${problem} (environment variable ${name})`);
  }
}
