/** The section `tls` of destinations whose protocol runs over TLS. */
import type { KeyPath } from '../../settings/findings.ts';
import { isMapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { flag, secret, section } from '../../settings/shapes.ts';
import { checkSecret } from '../../settings/values.ts';
import type { TlsSettings } from './tlsOptions.ts';

export function tlsSection(when: string) {
  return section({
    enabled: flag().optional().describe(`Default: ${when}.`),
    ca: secret().optional().describe('PEM of the authority, env:NAME.'),
    cert: secret().optional().describe('PEM of our certificate, env:NAME.'),
    key: secret().optional().describe('PEM of its key, env:NAME.'),
    insecure: flag().optional().describe('Take any certificate. For development. Default false.'),
  });
}

export interface TlsInput {
  readonly enabled?: boolean | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly insecure?: boolean | undefined;
}

export function normaliseTls(tls: TlsInput | undefined): TlsSettings | null {
  if (tls === undefined) return null;
  const { enabled = true, ca = null, cert = null, key = null, insecure = false } = tls;
  return { enabled, ca, cert, key, insecure };
}

export function checkTls(path: KeyPath, tls: unknown, context: RuleContext): void {
  if (!isMapping(tls)) return;
  for (const key of ['ca', 'cert', 'key']) {
    const written = tls[key];
    if (typeof written === 'string') checkSecret([...path, key], written, context);
  }
  if ((tls['cert'] === undefined) !== (tls['key'] === undefined))
    context.findings.problem(path, 'expected cert and key together');
}
