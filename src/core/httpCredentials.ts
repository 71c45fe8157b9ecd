import type { TlsCredentials } from './tls.ts';

/** How requests over HTTP are signed and by whom they say they are sent: of destinations and of check-backs. */
export interface SigningConfig {
  readonly scheme: 'standard-webhooks';
  /** `env:NAME` or a literal (a warning is given for literals). The first signs first; all sign, for rotation. */
  readonly secrets: readonly string[];
}

/** Client credentials of OAuth 2 (RFC 6749, 4.4): a token is fetched with them, and requests carry it. */
export interface ClientCredentialsConfig {
  readonly kind: 'oauth2';
  /** As written, `${X}` unexpanded. */
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string | null;
  readonly audience: string | null;
  /** How the client says who it is: HTTP Basic, or fields of the form. */
  readonly sendAs: 'basic' | 'body';
  /** Of the token endpoint; null for the authorities of Node. */
  readonly tls: TlsCredentials | null;
}

export type CredentialsConfig =
  | ClientCredentialsConfig
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string };
