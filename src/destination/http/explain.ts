/** What `config explain` says of a destination, or a check-back, over HTTP. */
import { expandEnvironment } from '../../core/environment.ts';
import { secretName, type Environment } from '../../core/secrets.ts';
import { showUrl, showWritten } from '../../core/shownUrl.ts';
import type { CredentialsConfig } from '../../core/httpCredentials.ts';
import type { TlsCredentials } from '../../core/tls.ts';
import type { Row } from '../../settings/printedRows.ts';
import { describeDuration } from '../../core/duration.ts';
import { pemFile } from '../shared/pem.ts';
import type { ExplainContext, Explanation } from '../type.ts';
import type { HttpDestinationConfig, HttpSettings } from './config.ts';
import { direct, readProxy } from './proxy/address.ts';

export interface RequestExplanation {
  /** With the environment filled in, query values and parts of the path that look like a secret masked; null if one is missing. */
  readonly address: string | null;
  /** As written in the file, parts that look like a secret masked. */
  readonly url: string;
  readonly missingVariables: readonly string[];
  /** `env:NAME` as written; `inline` for a secret that stands in the file. Null when messages are not signed. */
  readonly signedWith: readonly string[] | null;
  readonly auth: CredentialsConfig['kind'] | null;
  /** Where tokens are fetched; absent where none are. */
  readonly tokenUrl?: string;
  /** As written: what the server is trusted by, and the certificate it is shown. Absent where the file says nothing. */
  readonly tls?: { readonly ca: string | null; readonly cert: string | null; readonly insecure: boolean };
  /** Without user and password; `none` for a destination that is reached directly whatever the environment says. */
  readonly proxy?: string;
}

export function explainHttp(config: HttpDestinationConfig, { env }: ExplainContext): Explanation {
  const request = explainRequest(config, env);
  const { method, retry } = config;
  return {
    facts: { method, ...request, parksAtOnceOn: retry.nonRetryableStatusCodes },
    address: addressText(method, request),
    rows: requestRows(request),
    answers: [
      [
        'unreachable',
        `network errors, timeouts, 429, 502, 503, 504 cost no attempt; tried for ${describeDuration(retry.scheduleToCloseTimeoutMs)}`,
      ],
      ['parks at once', retry.nonRetryableStatusCodes.join(', ') || 'on no status'],
    ],
  };
}

export function explainRequest(
  { url, signing, auth, tls, proxy }: Pick<HttpSettings, 'url' | 'signing' | 'auth' | 'tls' | 'proxy'>,
  env: Environment,
): RequestExplanation {
  return {
    ...explainAddress(url, env),
    signedWith: signing === null ? null : withoutInline(signing.secrets),
    auth: auth?.kind ?? null,
    ...(auth?.kind === 'oauth2' ? { tokenUrl: showWritten(auth.tokenUrl) } : {}),
    ...(tls === undefined ? {} : { tls: explainTls(tls) }),
    ...(proxy === undefined ? {} : { proxy: explainProxy(proxy, env) }),
  };
}

function explainTls({ ca, cert, insecure }: TlsCredentials) {
  return { ca: shownPem(ca), cert: shownPem(cert), insecure };
}

function shownPem(reference: string | null): string | null {
  if (reference === null || pemFile(reference) !== null || secretName(reference) !== null) return reference;
  return 'inline';
}

function explainProxy(written: string, env: Environment): string {
  try {
    return readProxy(written, { env })?.label ?? direct;
  } catch (error) {
    return `${secretName(written) === null ? 'proxy' : written} (${(error as Error).message})`;
  }
}

export function requestRows({ signedWith, auth, tokenUrl, tls, proxy }: RequestExplanation): Row[] {
  const rows: Row[] = [
    ['signed', signedWith === null ? 'no' : `yes, with ${signedWith.join(', ')}`],
    ['login', tokenUrl === undefined ? (auth ?? 'none') : `${auth}, tokens from ${tokenUrl}`],
  ];
  if (tls !== undefined) rows.push(['tls', tlsText(tls)]);
  if (proxy !== undefined) rows.push(['proxy', proxy]);
  return rows;
}

function tlsText({ ca, cert, insecure }: NonNullable<RequestExplanation['tls']>): string {
  const trusted = insecure ? 'takes any certificate' : `trusts ${ca ?? 'the authorities of Node'}`;
  return `${trusted}, shows ${cert ?? 'no certificate'}`;
}

export function addressText(method: string, { address, url, missingVariables }: RequestExplanation): string {
  if (missingVariables.length > 0) return `${method} ${url} (not set: ${missingVariables.join(', ')})`;
  return `${method} ${address ?? url}`;
}

/** What of a list of secrets may be shown. */
export function withoutInline(secrets: readonly string[]): readonly string[] {
  return secrets.map((secret) => (secretName(secret) === null ? 'inline' : secret));
}

function explainAddress(url: string, env: Environment) {
  const { text, missing, closed = [] } = expandEnvironment(url, env);
  const address =
    missing.length > 0 || closed.length > 0 || !URL.canParse(text) ? null : showUrl(new URL(text), url).text;
  return { url: showWritten(url), missingVariables: missing, address };
}
