/**
 * What an answer, or the lack of one, means for the event. Pure.
 *
 * | answer | outcome |
 * |---|---|
 * | 2xx | acknowledged, whatever the body |
 * | 3xx | refused, permanent: redirects are never followed |
 * | a status in `nonRetryableStatusCodes` | refused, permanent |
 * | 429, 502, 503, 504 | unreachable |
 * | any other status | refused, to be tried again |
 * | no usable answer (network, timeout, malformed) | unreachable |
 * | address refused by the network policy, bad configuration, illegal header | refused, permanent |
 */

export type StatusVerdict =
  | { readonly kind: 'acknowledged' }
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'refused'; readonly permanent: boolean };

const acknowledged: StatusVerdict = { kind: 'acknowledged' };
const unreachable: StatusVerdict = { kind: 'unreachable' };
const refused: StatusVerdict = { kind: 'refused', permanent: false };
const refusedForGood: StatusVerdict = { kind: 'refused', permanent: true };

/**
 * The list decides permanence alone: a status that is not in it (410, say) is tried again, and 503 in it parks.
 * Only the meaning of 2xx and of 3xx cannot be configured away.
 */
export function classifyStatus(status: number, nonRetryableStatusCodes: readonly number[]): StatusVerdict {
  if (status >= 200 && status < 300) return acknowledged;
  if (status >= 300 && status < 400) return refusedForGood;
  if (nonRetryableStatusCodes.includes(status)) return refusedForGood;
  if (status === 429 || status === 502 || status === 503 || status === 504) return unreachable;
  return refused;
}

/** Lasting names for attempts that ended without a usable status. Those with one are `http-<status>`. */
export type NetworkErrorClass =
  | 'timeout'
  | 'connection-refused'
  | 'connection-reset'
  | 'network-unreachable'
  | 'dns-not-found'
  | 'dns-failure'
  | 'tls-certificate'
  | 'tls-failure'
  | 'invalid-response'
  | 'response-headers-too-large'
  | 'too-many-open-files'
  | 'network-error';

export type PermanentErrorClass =
  'blocked-address' | 'bad-configuration' | 'invalid-header' | 'invalid-request';

export interface ErrorVerdict {
  readonly kind: 'unreachable' | 'refused-permanent';
  readonly errorClass: NetworkErrorClass | PermanentErrorClass;
}

/** The code of the error the connector raises for an address the network policy refuses. */
export const blockedAddressCode = 'OUTBOX_ADDRESS_BLOCKED';

const classByCode: ReadonlyMap<string, NetworkErrorClass> = new Map<string, NetworkErrorClass>([
  ['ECONNREFUSED', 'connection-refused'],
  ['ECONNRESET', 'connection-reset'],
  ['ECONNABORTED', 'connection-reset'],
  ['EPIPE', 'connection-reset'],
  ['UND_ERR_SOCKET', 'connection-reset'],
  ['ETIMEDOUT', 'timeout'],
  ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
  ['UND_ERR_HEADERS_TIMEOUT', 'timeout'],
  ['UND_ERR_BODY_TIMEOUT', 'timeout'],
  ['EHOSTUNREACH', 'network-unreachable'],
  ['EHOSTDOWN', 'network-unreachable'],
  ['ENETUNREACH', 'network-unreachable'],
  ['ENETDOWN', 'network-unreachable'],
  ['EADDRNOTAVAIL', 'network-unreachable'],
  ['ENOTFOUND', 'dns-not-found'],
  ['ENODATA', 'dns-not-found'],
  ['UND_ERR_HEADERS_OVERFLOW', 'response-headers-too-large'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'invalid-response'],
  ['EMFILE', 'too-many-open-files'],
  ['ENFILE', 'too-many-open-files'],
  ['EPROTO', 'tls-failure'],
  ['HOSTNAME_MISMATCH', 'tls-certificate'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls-certificate'],
]);

/** Codes of OpenSSL's certificate verification, as Node passes them on. */
const certificateCode =
  /^(CERT_|CRL_|UNABLE_TO_|ERROR_IN_CERT_|ERROR_IN_CRL_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_)/;

/** The verdict on an attempt that failed with an error of node:net, node:tls, node:dns or undici. Never throws. */
export function classifyError(error: unknown): ErrorVerdict {
  const code = errorCode(error);
  if (code === blockedAddressCode) return { kind: 'refused-permanent', errorClass: 'blocked-address' };
  // undici found the request itself impossible; it would find it so every time.
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') {
    return { kind: 'refused-permanent', errorClass: 'invalid-request' };
  }
  return { kind: 'unreachable', errorClass: networkClass(code, error) };
}

function networkClass(code: string, error: unknown): NetworkErrorClass {
  // undici tells an answer that is no HTTP from a lost connection only by this text.
  if (code === 'UND_ERR_SOCKET' && /^bad (response|upgrade)/.test((error as Error).message)) {
    return 'invalid-response';
  }
  const known = classByCode.get(code);
  if (known !== undefined) return known;
  if (code.startsWith('HPE_')) return 'invalid-response';
  if (code.startsWith('EAI_')) return 'dns-failure';
  if (certificateCode.test(code)) return 'tls-certificate';
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) return 'tls-failure';
  return 'network-error';
}

function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === 'string') return code;
  // An answer that is no HTTP at all: undici's parser error has the code of llhttp, or none.
  return name === 'HTTPParserError' ? 'HPE_UNKNOWN' : '';
}
