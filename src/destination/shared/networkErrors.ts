/** Lasting names for errors of node:net, node:tls and node:dns, for types whose client passes them on. */
const classByCode: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection-refused',
  ECONNRESET: 'connection-reset',
  ECONNABORTED: 'connection-reset',
  EPIPE: 'connection-reset',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'network-unreachable',
  EHOSTDOWN: 'network-unreachable',
  ENETUNREACH: 'network-unreachable',
  ENETDOWN: 'network-unreachable',
  EADDRNOTAVAIL: 'network-unreachable',
  ENOTFOUND: 'dns-not-found',
  ENODATA: 'dns-not-found',
  EMFILE: 'too-many-open-files',
  ENFILE: 'too-many-open-files',
  EPROTO: 'tls-failure',
  ERR_TLS_CERT_ALTNAME_INVALID: 'tls-certificate',
};

const certificateCode =
  /^(CERT_|CRL_|UNABLE_TO_|ERROR_IN_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_)/;

/** Looks through `cause` and aggregated errors; `network-error` for what is none of these. */
export function networkErrorClass(error: unknown): string {
  for (const code of codesOf(error, 0)) {
    const known = Object.hasOwn(classByCode, code) ? classByCode[code] : undefined;
    if (known !== undefined) return known;
    if (code.startsWith('EAI_')) return 'dns-failure';
    if (certificateCode.test(code)) return 'tls-certificate';
    if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) return 'tls-failure';
  }
  return 'network-error';
}

function codesOf(error: unknown, depth: number): string[] {
  if (typeof error !== 'object' || error === null || depth > 4) return [];
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  const own = typeof code === 'string' ? [code] : [];
  const inside = error instanceof AggregateError ? error.errors : [];
  return [...own, ...[cause, ...(inside as unknown[])].flatMap((each) => codesOf(each, depth + 1))];
}

/** Its text; of errors of several addresses, all of theirs. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.message === '') return error.errors.map(errorText).join('; ');
  return error.message === '' ? error.name : error.message;
}
