import type { ListenAddress } from './listen.ts';

/** `viewer` looks; `operator` resolves and steers besides; `admin` sees besides who has tokens, and revokes them. */
export const roles = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number];

/** Where and for whom the dashboard is served. */
export interface DashboardConfig {
  readonly listen: ListenAddress;
  /** How people reach it, a path included; null: as it listens. */
  readonly url: string | null;
  /** What the page calls this outbox; null: the configuration's `name`. */
  readonly title: string | null;
  /** Marks the page, so that nobody takes it for a rehearsal. */
  readonly production: boolean;
  /** Where the Temporal UI is, for links; null: `TEMPORAL_UI_URL`. */
  readonly temporalUi: string | null;
  /** Null: nobody signs in, which only a loopback address may do. */
  readonly signIn: SignInConfig | null;
}

export interface SignInConfig {
  /** Tokens that `temporal-outbox tokens make` makes. */
  readonly tokens: boolean;
  /** A JSON Web Token that a proxy in front adds to each request. */
  readonly jwt: JwtConfig | null;
  /** An OpenID provider that people sign in at; undefined in configurations of before. */
  readonly oidc?: OidcConfig | null;
}

/** How the claims of somebody become a name, a role and a permission. */
export interface ClaimsConfig {
  /** The claim that names the person, for the audit. */
  readonly nameClaim: string;
  /** The claim, a text or a list of texts, that the lists below are compared with. */
  readonly groupsClaim: string;
  readonly viewer: readonly string[];
  readonly operator: readonly string[];
  readonly admin: readonly string[];
  readonly payloads: readonly string[];
}

/** OpenID Connect: authorization code flow with PKCE. */
export interface OidcConfig extends ClaimsConfig {
  /** Has `/.well-known/openid-configuration` beneath it. */
  readonly issuer: string;
  readonly clientId: string;
  /** A reference, `env:NAME`. */
  readonly clientSecret: string;
  readonly scope: string;
  /** On the button: `Sign in with …`. */
  readonly label: string;
  /** After that one signs in again. */
  readonly sessionMs: number;
}

export interface JwtConfig extends ClaimsConfig {
  /** Name of the request header, lower case; `authorization` means a bearer token. */
  readonly header: string;
  /** Where the issuer's public keys are. */
  readonly jwks: string;
  readonly issuer: string;
  readonly audience: string;
}

export const dashboardDefaults = {
  listen: '127.0.0.1:8800',
  jwt: { header: 'authorization', nameClaim: 'email', groupsClaim: 'groups' },
  oidc: { scope: 'openid profile email', label: 'OpenID', sessionMs: 8 * 3_600_000 },
} as const;

/** The open letters of a cause there; null as in {@link letterUrl}. */
export function causeUrl({ url }: Pick<DashboardConfig, 'url'>, cause: string): string | null {
  return url === null ? null : `${url}/#/letters?cause=${encodeURIComponent(cause)}`;
}

/** The page of a dead letter, for links from elsewhere; null where nobody said how people reach the dashboard. */
export function letterUrl({ url }: Pick<DashboardConfig, 'url'>, letter: number): string | null {
  return url === null ? null : `${url}/#/letters/${letter}`;
}
