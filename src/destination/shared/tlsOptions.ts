/** What the section `tls` means to a client; without what reads outbox.yaml, so that both ends have it. */
import type { SecretSource } from '../../core/secrets.ts';
import type { TlsCredentials, TlsSettings } from '../../core/tls.ts';
import { readPem } from './pem.ts';

export type { TlsCredentials, TlsSettings };

/** What `node:tls` takes; undefined for no TLS. `asked`: the address itself asks for it. */
export function readTls(
  tls: TlsSettings | null,
  source: SecretSource,
  asked = false,
): Readonly<Record<string, unknown>> | undefined {
  if (tls === null) return asked ? {} : undefined;
  if (!tls.enabled) return undefined;
  return tlsOptions(tls, source);
}

/** The same where the section switches nothing on or off. */
export function tlsOptions(
  { ca, cert, key, insecure }: TlsCredentials,
  source: SecretSource,
): Readonly<Record<string, unknown>> {
  const files = Object.entries({ ca, cert, key }).filter(([, reference]) => reference !== null);
  return {
    ...Object.fromEntries(files.map(([name, reference]) => [name, readPem(reference!, source)])),
    ...(insecure ? { rejectUnauthorized: false } : {}),
  };
}
