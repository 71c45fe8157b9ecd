/** Keys of `from` that several brokers share. */
import type { TlsSettings } from '../../destination/shared/tlsOptions.ts';

/** PEM, each written out or as `env:NAME`. */
export interface TlsFrom {
  readonly enabled?: boolean;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly insecure?: boolean;
}

export function tlsFrom(tls: TlsFrom | undefined): TlsSettings | null {
  if (tls === undefined) return null;
  const { enabled = true, ca = null, cert = null, key = null, insecure = false } = tls;
  return { enabled, ca, cert, key, insecure };
}
