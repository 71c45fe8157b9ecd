/** One request to a token endpoint (RFC 6749, 4.4.2), and what is taken for a token in its answer (5.1). */
import { STATUS_CODES } from 'node:http';
import { Client } from 'undici';
import { printable } from '../../../core/printable.ts';
import { redact } from '../../shared/printable.ts';
import { readBounded } from '../boundedBody.ts';
import { classifyError } from '../classify.ts';
import { guardedConnector, type ConnectorOptions } from '../connector.ts';
import { parseRetryAfter } from '../retryAfter.ts';

/** Where tokens come from, read and resolved. */
export interface TokenEndpoint {
  readonly url: URL;
  /** `POST https://idp/token`, for messages. */
  readonly label: string;
  /** What goes to `Client.request` as its path: absolute where a proxy takes the request itself. */
  readonly requestTarget: string;
  /** Name, value, name, value. */
  readonly headers: readonly string[];
  readonly form: string;
  readonly connect: ConnectorOptions;
  readonly now: () => number;
}

export interface Token {
  readonly accessToken: string;
  /** How long it is good for; null where the answer does not say. */
  readonly lifetimeMs: number | null;
}

export interface TokenFailure {
  readonly message: string;
  readonly status: number | null;
  readonly retryAfterMs: number | null;
}

const answerBytesMax = 64 * 1024;
const messageCharacters = 500;
const lifetimeMaxMs = 365 * 24 * 3_600_000;
/** RFC 6750, 2.1: `b64token`; real ones are wider, and none has spaces or control characters. */
const usableToken = /^[\x21-\x7e]{1,16384}$/;

/** Never rejects. Redirects are not followed. */
export async function requestToken(
  endpoint: TokenEndpoint,
  secrets: readonly string[],
): Promise<Token | TokenFailure> {
  const { url, requestTarget, headers, form, connect, now } = endpoint;
  const failed = (text: string, status: number | null = null, retryAfterMs: number | null = null) => ({
    message: printable(redact(`no access token: ${endpoint.label} ${text}`, secrets), messageCharacters),
    status,
    retryAfterMs,
  });
  const client = new Client(url.origin, {
    connect: guardedConnector(connect),
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const deadline = AbortSignal.timeout(connect.timeoutMs);
  try {
    const {
      statusCode,
      headers: answered,
      body,
    } = await client.request({
      method: 'POST',
      path: requestTarget,
      headers: [...headers],
      body: form,
      signal: deadline,
    });
    const retryAfter = answered['retry-after'];
    const retryAfterMs = parseRetryAfter(typeof retryAfter === 'string' ? retryAfter : null, now());
    const text = (await readBounded(body, answerBytesMax)).toString();
    if (statusCode === 200) return tokenIn(text) ?? failed('answered 200 without a usable access_token');
    return failed(
      `answered ${statusCode} ${STATUS_CODES[statusCode] ?? ''}${errorIn(text)}`,
      statusCode,
      retryAfterMs,
    );
  } catch (error) {
    if (deadline.aborted) return failed(`timeout: no answer within ${connect.timeoutMs} ms`);
    const message = error instanceof Error ? error.message || error.name : 'unknown error';
    return failed(`${classifyError(error).errorClass}: ${message}`);
  } finally {
    await client.destroy();
  }
}

function objectIn(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function tokenIn(text: string): Token | null {
  const { access_token: accessToken, token_type: type = 'bearer', expires_in: expiresIn } = objectIn(text);
  if (typeof accessToken !== 'string' || !usableToken.test(accessToken)) return null;
  // Another kind, such as one bound to a key (DPoP), would be refused by the receiver.
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') return null;
  const seconds = Number(expiresIn);
  const known = (typeof expiresIn === 'number' || typeof expiresIn === 'string') && seconds > 0;
  return { accessToken, lifetimeMs: known ? Math.min(seconds * 1000, lifetimeMaxMs) : null };
}

/** RFC 6749, 5.2. */
function errorIn(text: string): string {
  const { error, error_description: description } = objectIn(text);
  if (typeof error !== 'string') return '';
  return ` (${error}${typeof description === 'string' ? `: ${description}` : ''})`;
}
