/**
 * What an answer, or the lack of one, means for the event. Pure.
 *
 * | answer | outcome |
 * |---|---|
 * | 2xx | acknowledged, whatever the body |
 * | 3xx | refused, permanent: redirects are never followed. Whose fault it is, see core/circuit.ts |
 * | a status in `nonRetryableStatusCodes` | refused, permanent |
 * | 429, 502, 503, 504 | unreachable |
 * | any other status | refused, to be tried again |
 * | no answer (network, timeout) | unreachable |
 * | an answer that is not HTTP, or broke off or stopped in its head | refused, to be tried again: it was answered |
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

/** Lasting names for attempts that ended without an answer. Those with one are `http-<status>`. */
export type NetworkErrorClass =
  | 'timeout'
  | 'connection-refused'
  | 'connection-reset'
  | 'network-unreachable'
  | 'dns-not-found'
  | 'dns-failure'
  | 'tls-certificate'
  | 'tls-failure'
  | 'too-many-open-files'
  | 'proxy-failure'
  | 'network-error';

/** The receiver answered, and nobody can read what: charged to the event, like any other refusal. */
export type UnreadableErrorClass = 'invalid-response' | 'response-headers-too-large';

export type PermanentErrorClass =
  'blocked-address' | 'bad-configuration' | 'invalid-header' | 'invalid-request';

export type ErrorVerdict =
  | { readonly kind: 'unreachable'; readonly errorClass: NetworkErrorClass }
  | { readonly kind: 'refused'; readonly errorClass: UnreadableErrorClass }
  | { readonly kind: 'refused-permanent'; readonly errorClass: PermanentErrorClass };

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
  ['EMFILE', 'too-many-open-files'],
  ['ENFILE', 'too-many-open-files'],
  ['EPROTO', 'tls-failure'],
  ['OUTBOX_PROXY_FAILED', 'proxy-failure'],
  ['HOSTNAME_MISMATCH', 'tls-certificate'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls-certificate'],
]);

/** Codes of OpenSSL's certificate verification, as Node passes them on. */
const certificateCode =
  /^(CERT_|CRL_|UNABLE_TO_|ERROR_IN_CERT_|ERROR_IN_CRL_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_)/;

/**
 * What undici says of bytes that came and are no answer, and what is then meant:
 *
 * | code | what was answered |
 * |---|---|
 * | HPE_* (also without a code: HTTPParserError) | what its parser finds wrong: a status line, a header, a length, chunks, another protocol |
 * | UND_ERR_HEADERS_OVERFLOW | a head larger than we take |
 * | UND_ERR_RES_CONTENT_LENGTH_MISMATCH | a body of another length than announced, or an error of the parser after a length |
 * | UND_ERR_SOCKET, `bad response`, `bad upgrade` | an interim answer where none can be (of 16 kB and more), `101 Switching Protocols` |
 * | UND_ERR_SOCKET, `other side closed`, `closed`; ECONNRESET | the connection ended: an answer only if a part of its head came (`begun`) |
 *
 * Before a request was written no answer can have begun: what goes wrong in the handshake of TLS is unreachable.
 */
const unreadableByCode: ReadonlyMap<string, UnreadableErrorClass> = new Map<string, UnreadableErrorClass>([
  ['UND_ERR_HEADERS_OVERFLOW', 'response-headers-too-large'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'invalid-response'],
]);

/**
 * The verdict on an attempt that failed with an error of node:net, node:tls, node:dns or undici. `begun`: a part of an answer came.
 * Never throws.
 */
export function classifyError(error: unknown, begun = false): ErrorVerdict {
  const code = errorCode(error);
  if (code === blockedAddressCode) return { kind: 'refused-permanent', errorClass: 'blocked-address' };
  // undici found the request itself impossible; it would find it so every time.
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') {
    return { kind: 'refused-permanent', errorClass: 'invalid-request' };
  }
  const unreadable = unreadableByCode.get(code);
  if (unreadable !== undefined) return { kind: 'refused', errorClass: unreadable };
  if (begun || code.startsWith('HPE_') || isBadAnswer(code, error))
    return { kind: 'refused', errorClass: 'invalid-response' };
  return { kind: 'unreachable', errorClass: networkClass(code) };
}

/** undici tells an answer that is no HTTP from a lost connection only by this text. */
function isBadAnswer(code: string, error: unknown): boolean {
  return code === 'UND_ERR_SOCKET' && /^bad (response|upgrade)/.test((error as Error).message);
}

function networkClass(code: string): NetworkErrorClass {
  const known = classByCode.get(code);
  if (known !== undefined) return known;
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
