/** What `config explain` says of a destination, or a check-back, over HTTP. */
import { expandEnvironment } from '../../core/environment.ts';
import { secretName, type Environment } from '../../core/secrets.ts';
import { showUrl, showWritten } from '../../core/shownUrl.ts';
import type { CredentialsConfig, SigningConfig } from '../../core/httpCredentials.ts';
import type { Row } from '../../settings/printedRows.ts';
import { describeDuration } from '../../core/duration.ts';
import type { ExplainContext, Explanation } from '../type.ts';
import type { HttpDestinationConfig } from './config.ts';

export interface RequestExplanation {
  /** With the environment filled in, query values and parts of the path that look like a secret masked; null if one is missing. */
  readonly address: string | null;
  /** As written in the file, parts that look like a secret masked. */
  readonly url: string;
  readonly missingVariables: readonly string[];
  /** `env:NAME` as written; `inline` for a secret that stands in the file. Null when messages are not signed. */
  readonly signedWith: readonly string[] | null;
  readonly auth: CredentialsConfig['kind'] | null;
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
  {
    url,
    signing,
    auth,
  }: {
    readonly url: string;
    readonly signing: SigningConfig | null;
    readonly auth: CredentialsConfig | null;
  },
  env: Environment,
): RequestExplanation {
  return {
    ...explainAddress(url, env),
    signedWith: signing === null ? null : withoutInline(signing.secrets),
    auth: auth?.kind ?? null,
  };
}

export function requestRows({ signedWith, auth }: RequestExplanation): Row[] {
  return [
    ['signed', signedWith === null ? 'no' : `yes, with ${signedWith.join(', ')}`],
    ['login', auth ?? 'none'],
  ];
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
