/** A destination made ready to send to: address expanded, secrets read, whatever is the same for every message. */
import type { KeyObject } from 'node:crypto';
import type { ClientCredentialsConfig, CredentialsConfig } from '../../core/httpCredentials.ts';
import { resolveSecret as resolveFromEnvironment, signingSecretProblem } from '../../core/secrets.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { showUrl } from '../../core/shownUrl.ts';
import { isOutboxError } from '../../errors.ts';
import { isHeaderName, isClosedToDestinations, isHeaderValue } from '../shared/eventHeaders.ts';
import type { HttpDestinationConfig } from './config.ts';
import type { ConnectorOptions, Resolve } from './connector.ts';
import { basicOf, KnownSecrets } from './knownSecrets.ts';
import { AccessTokens } from './oauth/accessTokens.ts';
import { readTokenEndpoint } from './oauth/endpoint.ts';
import { readProxy } from './proxy/address.ts';
import { signingKey } from './signature.ts';
import { TlsFiles } from './tlsFiles.ts';
import { destinationUrl, invalid, requestTarget } from './url.ts';

/** What a target reads, and the clock its requests carry. */
export interface TargetSource extends SecretSource {
  /** In place of the system's resolver, for tests. */
  readonly resolve?: Resolve;
  /** Wall clock for `webhook-timestamp` and dates in Retry-After, in milliseconds. Default: `Date.now`. */
  readonly now?: () => number;
}

/** What of a destination decides where requests go and what every one of them carries. */
export type EndpointConfig = Pick<
  HttpDestinationConfig,
  | 'url'
  | 'method'
  | 'headers'
  | 'cloudEvents'
  | 'auth'
  | 'signing'
  | 'network'
  | 'tls'
  | 'proxy'
  | 'timeoutMs'
>;

export interface Endpoint {
  readonly origin: string;
  /** Path and query, as requested. */
  readonly path: string;
  /** What stands in a request's first line: `path`, or all of the address where a proxy takes the request itself. */
  readonly requestTarget: string;
  /** How connections are opened. */
  readonly connect: ConnectorOptions;
  /** `POST https://host/path`, without query and credentials, parts of the path that look like a secret hidden: for messages. */
  readonly label: string;
  /** Name, value, name, value: what every request carries. */
  readonly headers: readonly string[];
  /** Lower-case names of those headers. */
  readonly headerNames: ReadonlySet<string>;
  readonly signingKeys: readonly KeyObject[];
  /** What requests carry as `authorization`; null where that is none, or always the same. */
  readonly tokens: AccessTokens | null;
  /** Texts that no message or excerpt may show, longest first. A token that is fetched later joins them. */
  readonly secrets: readonly string[];
  readonly now: () => number;
}

export interface HttpTarget extends Endpoint {
  readonly config: HttpDestinationConfig;
  /** Where the destination is asked whether it is well; null where events are the probes. */
  readonly probeUrl: URL | null;
}

export type PreparedTarget = { readonly target: HttpTarget } | { readonly problem: string };

/** Reads everything once. Never throws: a destination that cannot work is a problem in words, without secrets. */
export function prepareTarget(config: HttpDestinationConfig, dependencies: TargetSource): PreparedTarget {
  try {
    const { probeUrl: written } = config.circuit;
    const probeUrl = written === null ? null : destinationUrl(written, dependencies.env, 'circuit.probeUrl');
    return { target: { config, probeUrl, ...buildEndpoint(config, dependencies) } };
  } catch (error) {
    return { problem: problemIn(error) };
  }
}

/** The same for what is no destination, a check-back's address. */
export function prepareEndpoint(
  config: EndpointConfig,
  dependencies: TargetSource,
): { readonly endpoint: Endpoint } | { readonly problem: string } {
  try {
    return { endpoint: buildEndpoint(config, dependencies) };
  } catch (error) {
    return { problem: problemIn(error) };
  }
}

function problemIn(error: unknown): string {
  return isOutboxError(error) ? error.message : 'a secret cannot be resolved';
}

function buildEndpoint(config: EndpointConfig, dependencies: TargetSource): Endpoint {
  const { env } = dependencies;
  const url = destinationUrl(config.url, env);
  const secrets = new KnownSecrets((reference) =>
    (dependencies.resolveSecret ?? resolveFromEnvironment)(reference, env),
  );
  const shown = showUrl(url, config.url);
  for (const secret of shown.secrets) secrets.remember(secret);
  const headers = ['user-agent', 'temporal-outbox'];
  pushStaticHeaders(headers, config.headers, secrets);
  // The envelope of structured mode has a type of its own.
  if (config.cloudEvents === 'structured') removeHeader(headers, 'content-type');
  const { auth } = config;
  if (auth !== null && auth.kind !== 'oauth2')
    replaceHeader(headers, 'authorization', authorization(auth, secrets));
  const connect = connectorOptions(config, dependencies);
  const { proxy = null } = connect;
  for (const secret of proxy?.secrets ?? []) secrets.remember(secret);
  if (proxy !== null && proxy.authorization !== null && url.protocol === 'http:')
    headers.push('proxy-authorization', proxy.authorization);
  const headerNames = new Set(
    headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()),
  );
  // An event that was copied from a request may bring its own.
  if (auth?.kind === 'oauth2') headerNames.add('authorization');
  const now = dependencies.now ?? Date.now;
  const signingKeys = (config.signing?.secrets ?? []).map((reference) => readSigningKey(reference, secrets));
  const tokenEndpoint =
    auth?.kind === 'oauth2' ? readTokenEndpoint(auth, connect, dependencies, secrets, now) : null;
  const hidden = secrets.known();
  return {
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    requestTarget: requestTarget(connect, url),
    connect,
    label: `${config.method} ${shown.withoutQuery}`,
    headers,
    headerNames,
    signingKeys,
    tokens: tokenEndpoint === null ? null : new AccessTokens(tokenEndpoint, hidden),
    secrets: hidden,
    now,
  };
}

function connectorOptions(
  { network, timeoutMs, tls, proxy }: EndpointConfig,
  source: TargetSource,
): ConnectorOptions {
  return {
    allowPrivate: network.allowPrivate,
    timeoutMs,
    tls: tls === undefined ? null : new TlsFiles(tls, source),
    proxy: readProxy(proxy ?? null, source),
    ...(source.resolve === undefined ? {} : { resolve: source.resolve }),
  };
}

/** Headers whose value is a secret even where it is written in the file. */
export const confidentialName = /^((proxy-)?authorization|cookie)$|token|secret|api-?key|password/;

function pushStaticHeaders(
  headers: string[],
  written: Readonly<Record<string, string>>,
  secrets: KnownSecrets,
): void {
  for (const [name, reference] of Object.entries(written)) {
    const lowerName = name.toLowerCase();
    if (!isHeaderName(name)) throw invalid(`headers: ${JSON.stringify(name)} is not a header name`);
    if (isClosedToDestinations(lowerName)) {
      throw invalid(`headers: ${lowerName} is set by temporal-outbox or by the transport`);
    }
    const value = reference === '' ? '' : secrets.resolve(reference);
    if (value !== reference || confidentialName.test(lowerName)) secrets.rememberWords(value);
    if (!isHeaderValue(value)) {
      throw invalid(`headers: the value of ${lowerName} holds a character no header can carry`);
    }
    replaceHeader(headers, lowerName, value);
  }
}

function replaceHeader(headers: string[], name: string, value: string): void {
  const index = headerIndex(headers, name);
  if (index === -1) headers.push(name, value);
  else headers[index + 1] = value;
}

function headerIndex(headers: readonly string[], name: string): number {
  return headers.findIndex((entry, position) => position % 2 === 0 && entry === name);
}

function removeHeader(headers: string[], name: string): void {
  const index = headerIndex(headers, name);
  if (index !== -1) headers.splice(index, 2);
}

function authorization(
  auth: Exclude<CredentialsConfig, ClientCredentialsConfig>,
  secrets: KnownSecrets,
): string {
  const value =
    auth.kind === 'bearer' ? `Bearer ${secrets.read(auth.token)}` : basicCredentials(auth, secrets);
  if (isHeaderValue(value)) return value;
  throw invalid('auth: the token holds a character no header can carry');
}

/** RFC 7617, in UTF-8. The user's name is no secret, yet may be kept in the environment too. */
function basicCredentials(
  auth: Extract<CredentialsConfig, { kind: 'basic' }>,
  secrets: KnownSecrets,
): string {
  const username = secrets.resolve(auth.username);
  if (username.includes(':')) throw invalid('auth: a basic username cannot hold a colon');
  const encoded = basicOf(username, secrets.read(auth.password));
  secrets.remember(encoded);
  return `Basic ${encoded}`;
}

function readSigningKey(reference: string, secrets: KnownSecrets): KeyObject {
  const secret = secrets.read(reference);
  const problem = signingSecretProblem(secret);
  if (problem !== null)
    throw invalid(`signing: ${reference.startsWith('env:') ? reference : 'a secret'}: ${problem}`);
  secrets.remember(secret.slice('whsec_'.length));
  return signingKey(secret);
}
