/** What a server is trusted by and what we show it, as written: nothing in it is read yet. */
export interface TlsCredentials {
  /** PEM: `env:NAME`, `file:/absolute/path`, or the text itself. Null: the authorities of Node. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  /** Take any certificate. */
  readonly insecure: boolean;
}

/** Null in place of it: no TLS, unless the address asks for it. */
export interface TlsSettings extends TlsCredentials {
  readonly enabled: boolean;
}
