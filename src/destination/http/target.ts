/** A destination made ready to send to: address expanded, secrets read, whatever is the same for every message. */
import type { KeyObject } from 'node:crypto';
import type { CredentialsConfig } from '../../core/httpCredentials.ts';
import { expandEnvironment } from '../../core/environment.ts';
import {
  closedHint,
  resolveSecret as resolveFromEnvironment,
  signingSecretProblem,
  type Environment,
} from '../../core/secrets.ts';
import { showUrl } from '../../core/shownUrl.ts';
import { isOutboxError, OutboxError } from '../../errors.ts';
import type { SecretSource } from '../../core/secrets.ts';
import type { HttpDestinationConfig } from './config.ts';
import { isHeaderName, isClosedToDestinations, isHeaderValue } from '../shared/eventHeaders.ts';
import { signingKey } from './signature.ts';

/** What a target reads, and the clock its requests carry. */
export interface TargetSource extends SecretSource {
  /** Wall clock for `webhook-timestamp` and dates in Retry-After, in milliseconds. Default: `Date.now`. */
  readonly now?: () => number;
}

/** What of a destination decides where requests go and what every one of them carries. */
export type EndpointConfig = Pick<
  HttpDestinationConfig,
  'url' | 'method' | 'headers' | 'cloudEvents' | 'auth' | 'signing'
>;

export interface Endpoint {
  readonly origin: string;
  /** Path and query, as requested. */
  readonly path: string;
  /** `POST https://host/path`, without query and credentials, parts of the path that look like a secret hidden: for messages. */
  readonly label: string;
  /** Name, value, name, value: what every request carries. */
  readonly headers: readonly string[];
  /** Lower-case names of those headers. */
  readonly headerNames: ReadonlySet<string>;
  readonly signingKeys: readonly KeyObject[];
  /** Texts that no message or excerpt may show. */
  readonly secrets: readonly string[];
  readonly now: () => number;
}

export interface HttpTarget extends Endpoint {
  readonly config: HttpDestinationConfig;
  /** Where the destination is asked whether it is well; null where events are the probes. */
  readonly probeUrl: URL | null;
}

export type PreparedTarget = { readonly target: HttpTarget } | { readonly problem: string };

/** What is wrong with a destination, for people: no secret in it. */
function invalid(problem: string): OutboxError {
  return new OutboxError('OUTBOX_CONFIG_INVALID', problem);
}

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
  const secrets = new Secrets((reference) =>
    (dependencies.resolveSecret ?? resolveFromEnvironment)(reference, env),
  );
  const shown = showUrl(url, config.url);
  for (const secret of shown.secrets) secrets.remember(secret);
  const headers = ['user-agent', 'temporal-outbox'];
  pushStaticHeaders(headers, config.headers, secrets);
  // The envelope of structured mode has a type of its own.
  if (config.cloudEvents === 'structured') removeHeader(headers, 'content-type');
  if (config.auth !== null) replaceHeader(headers, 'authorization', authorization(config.auth, secrets));
  return {
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    label: `${config.method} ${shown.withoutQuery}`,
    headers,
    headerNames: new Set(headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())),
    signingKeys: (config.signing?.secrets ?? []).map((reference) => readSigningKey(reference, secrets)),
    secrets: secrets.known(),
    now: dependencies.now ?? Date.now,
  };
}

function destinationUrl(written: string, env: Environment, key = 'url'): URL {
  const { text, missing, closed = [], malformed } = expandEnvironment(written, env);
  if (closed[0] !== undefined)
    throw new OutboxError('OUTBOX_VARIABLE_CLOSED', `${key}: ${closed[0]}`, { hint: closedHint });
  if (missing.length > 0)
    throw invalid(`${key} needs ${missing.join(', ')}, missing or empty in the environment`);
  if (malformed) throw invalid(`${key} holds a \${ that is not followed by a name and }`);
  // The text itself stays out of the message: it may hold what the environment keeps.
  if (!URL.canParse(text)) throw invalid(`${key} is not a URL once the environment is filled in`);
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw invalid(`${key} has the scheme ${url.protocol}, expected http: or https:`);
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid(`${key} has credentials inside; expected them under auth`);
  }
  return url;
}

/** Headers whose value is a secret even where it is written in the file. */
export const confidentialName = /^(authorization|cookie)$|token|secret|api-?key|password/;

function pushStaticHeaders(
  headers: string[],
  written: Readonly<Record<string, string>>,
  secrets: Secrets,
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

function authorization(auth: CredentialsConfig, secrets: Secrets): string {
  const value =
    auth.kind === 'bearer' ? `Bearer ${secrets.read(auth.token)}` : basicCredentials(auth, secrets);
  if (isHeaderValue(value)) return value;
  throw invalid('auth: the token holds a character no header can carry');
}

/** RFC 7617, in UTF-8. The user's name is no secret, yet may be kept in the environment too. */
function basicCredentials(auth: Extract<CredentialsConfig, { kind: 'basic' }>, secrets: Secrets): string {
  const username = secrets.resolve(auth.username);
  if (username.includes(':')) throw invalid('auth: a basic username cannot hold a colon');
  const encoded = Buffer.from(`${username}:${secrets.read(auth.password)}`).toString('base64');
  secrets.remember(encoded);
  return `Basic ${encoded}`;
}

function readSigningKey(reference: string, secrets: Secrets): KeyObject {
  const secret = secrets.read(reference);
  const problem = signingSecretProblem(secret);
  if (problem !== null)
    throw invalid(`signing: ${reference.startsWith('env:') ? reference : 'a secret'}: ${problem}`);
  secrets.remember(secret.slice('whsec_'.length));
  return signingKey(secret);
}

/** Resolves references and remembers what must not be shown. */
class Secrets {
  readonly resolve: (reference: string) => string;
  private readonly values = new Set<string>();

  constructor(resolve: (reference: string) => string) {
    this.resolve = resolve;
  }

  read(reference: string): string {
    const value = this.resolve(reference);
    this.remember(value);
    return value;
  }

  /** Very short values would blank out half of every excerpt, and are no secrets. */
  remember(value: string): void {
    if (value.length >= 6) this.values.add(value);
  }

  /** `Bearer abc`: a receiver may echo the second word alone. */
  rememberWords(value: string): void {
    this.remember(value);
    for (const word of value.split(' ')) this.remember(word);
  }

  /** Longest first, so that one which contains another is taken out whole. */
  known(): string[] {
    return [...this.values].sort((one, other) => other.length - one.length);
  }
}
