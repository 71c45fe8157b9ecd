import type { CircuitConfig, DestinationConfig, RetryPolicy } from '../../core/destination.ts';
import type { CredentialsConfig, SigningConfig } from '../../core/httpCredentials.ts';
import type { TlsCredentials } from '../../core/tls.ts';

/** How a destination is reached over HTTP, as it is stored. */
export interface HttpSettings {
  /** As written, `${X}` unexpanded. */
  readonly url: string;
  readonly method: 'POST' | 'PUT' | 'PATCH';
  /** Static headers added to every request; values may be `env:NAME`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly signing: SigningConfig | null;
  readonly auth: CredentialsConfig | null;
  readonly idempotencyKey: { readonly quoted: boolean };
  readonly cloudEvents: 'none' | 'binary' | 'structured';
  readonly network: { readonly allowPrivate: boolean };
  /** For https; absent for the authorities of Node and no certificate of ours. */
  readonly tls?: TlsCredentials;
  /** As written: an address, `env:NAME`, or `none`; absent for none. */
  readonly proxy?: string;
  /** Characters of the response kept with a failed attempt; 0 keeps none. */
  readonly responseExcerpt: number;
  readonly retry: { readonly nonRetryableStatusCodes: readonly number[] };
  readonly circuit: {
    /** Asked with GET in place of an event; as written, `${X}` unexpanded. Null: events are the probes. */
    readonly probeUrl: string | null;
  };
}

export interface HttpDestinationConfig extends DestinationConfig, Omit<HttpSettings, 'retry' | 'circuit'> {
  readonly retry: RetryPolicy & HttpSettings['retry'];
  readonly circuit: CircuitConfig & HttpSettings['circuit'];
}
