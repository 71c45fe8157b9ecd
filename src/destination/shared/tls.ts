/** The section `tls` of destinations whose protocol runs over TLS. */
import type { KeyPath } from '../../settings/findings.ts';
import { isMapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { flag, secret, section } from '../../settings/shapes.ts';
import { checkSecret } from '../../settings/values.ts';
import { pathProblem, pemFile, readPem } from './pem.ts';
import type { TlsCredentials, TlsSettings } from './tlsOptions.ts';

/** Where nothing needs switching on: the address, or the section itself, says whether there is TLS. */
export const credentialKeys = {
  ca: secret().optional().describe('PEM of the authority: env:NAME or file:/path.'),
  cert: secret().optional().describe('PEM of our certificate: env:NAME or file:/path.'),
  key: secret().optional().describe('PEM of its key: env:NAME or file:/path.'),
  insecure: flag().optional().describe('Take any certificate. For development. Default false.'),
};

export function tlsSection(when: string) {
  return section({ enabled: flag().optional().describe(`Default: ${when}.`), ...credentialKeys });
}

export interface CredentialsInput {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly insecure?: boolean | undefined;
}

export interface TlsInput extends CredentialsInput {
  readonly enabled?: boolean | undefined;
}

export function normaliseTls(tls: TlsInput | undefined): TlsSettings | null {
  if (tls === undefined) return null;
  return { enabled: tls.enabled ?? true, ...normaliseCredentials(tls) };
}

export function normaliseCredentials(tls: CredentialsInput): TlsCredentials {
  const { ca = null, cert = null, key = null, insecure = false } = tls;
  return { ca, cert, key, insecure };
}

export function checkTls(path: KeyPath, tls: unknown, context: RuleContext): void {
  if (!isMapping(tls)) return;
  for (const key of ['ca', 'cert', 'key']) {
    const written = tls[key];
    if (typeof written === 'string') checkPem([...path, key], written, context);
  }
  if ((tls['cert'] === undefined) !== (tls['key'] === undefined))
    context.findings.problem(path, 'expected cert and key together');
}

/** A file is looked for where messages are sent from; a process that never sends only says that it is not here. */
function checkPem(path: KeyPath, written: string, context: RuleContext): void {
  const { findings, env } = context;
  const file = pemFile(written);
  if (file === null && checkSecret(path, written, context) === undefined) return;
  const problem = file === null ? null : pathProblem(file);
  if (problem !== null) return findings.problem(path, problem);
  try {
    readPem(written, { env });
  } catch (error) {
    const { message } = error as Error;
    if (file !== null && context.missingEnvironment === 'warn') findings.warning(path, message);
    else findings.problem(path, message, 'OUTBOX_SECRET_MISSING');
  }
}
