/** What the section `tls` means to a client; without what reads outbox.yaml, so that both ends have it. */
import type { SecretSource } from '../../core/secrets.ts';
import { readSecret } from './secretValues.ts';

/** As written: nothing in it is read yet. Null: no TLS, unless the address asks for it. */
export interface TlsSettings {
  readonly enabled: boolean;
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly insecure: boolean;
}

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
  { ca, cert, key, insecure }: Omit<TlsSettings, 'enabled'>,
  source: SecretSource,
): Readonly<Record<string, unknown>> {
  const files = Object.entries({ ca, cert, key }).filter(([, reference]) => reference !== null);
  return {
    ...Object.fromEntries(files.map(([name, reference]) => [name, readSecret(reference!, source)])),
    ...(insecure ? { rejectUnauthorized: false } : {}),
  };
}
