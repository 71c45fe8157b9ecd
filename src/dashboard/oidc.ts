/** Signing in at an OpenID provider: authorization code flow with PKCE, state and nonce. */
import type * as Client from 'openid-client';
import type { OidcConfig } from '../core/dashboard.ts';
import { resolveSecret, type Environment } from '../core/secrets.ts';
import { OutboxError } from '../errors.ts';
import { whoOf } from './jwt.ts';
import { sealWith } from './sealed.ts';
import type { Who } from './who.ts';

/** Why somebody who came back is not signed in: the provider said no; the way back is too old, or not ours; no group gives a role; the provider cannot be asked. */
export type OidcRefusal = 'denied' | 'stale' | 'no-role' | 'provider';

export interface Begun {
  /** Where the browser goes. */
  readonly url: string;
  /** What it brings back, in a cookie. */
  readonly sealed: string;
}

export type Finished =
  | { readonly who: Who; readonly session: string; readonly view: string }
  | { readonly refusal: OidcRefusal; readonly says: string };

export interface Oidc {
  readonly label: string;
  readonly sessionMs: number;
  /** `view`: where on the page to go on afterwards. Rejects when the provider cannot be asked. */
  begin(view: string): Promise<Begun>;
  /** `search`: the query that the provider sent the browser back with. Never rejects. */
  finish(search: string, sealed: string | undefined): Promise<Finished>;
  /** Whose session it is. */
  whoHas(session: string): Who | undefined;
}

interface Begin {
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
  readonly view: string;
}

export const beginMs = 10 * 60_000;
const patienceSeconds = 8;

/**
 * Loads `openid-client`, which only those who configure it need. The provider is asked when somebody first signs in: one that is away keeps
 * nothing from starting.
 * @param redirectUri what is registered at the provider
 * @throws OutboxError OUTBOX_CLIENT_MISSING, OUTBOX_SECRET_MISSING
 */
export async function oidcWith(config: OidcConfig, redirectUri: string, env: Environment): Promise<Oidc> {
  const client = await import('openid-client').catch((cause: unknown) => {
    throw new OutboxError('OUTBOX_CLIENT_MISSING', 'dashboard.signIn.oidc needs the package openid-client', {
      cause,
      hint: 'npm install openid-client',
    });
  });
  const secret = resolveSecret(config.clientSecret, env);
  const begun = sealWith(secret, 'sign-in');
  const sessions = sealWith(secret, 'session');
  const provider = discovered(client, config, secret);
  return {
    label: config.label,
    sessionMs: config.sessionMs,
    begin: async (view) => {
      const known = await provider();
      const [verifier, state, nonce] = [
        client.randomPKCECodeVerifier(),
        client.randomState(),
        client.randomNonce(),
      ];
      const url = client.buildAuthorizationUrl(known, {
        redirect_uri: redirectUri,
        scope: config.scope,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
      });
      const begin: Begin = { verifier, state, nonce, view };
      return { url: url.href, sealed: begun.close(begin, Date.now() + beginMs) };
    },
    finish: async (search, sealed) => {
      const begin = begun.open(sealed ?? '') as Begin | undefined;
      if (begin === undefined) return { refusal: 'stale', says: 'no sign-in was begun in this browser' };
      try {
        const known = await provider();
        const tokens = await client.authorizationCodeGrant(known, new URL(`${redirectUri}${search}`), {
          pkceCodeVerifier: begin.verifier,
          expectedState: begin.state,
          expectedNonce: begin.nonce,
          idTokenExpected: true,
        });
        const claims = tokens.claims() ?? { sub: '' };
        const who = whoOf(
          await allClaims(client, known, config, claims, tokens.access_token),
          config,
          'oidc',
        );
        if (who === undefined) return { refusal: 'no-role', says: `no group of ${claims.sub} gives a role` };
        return { who, session: sessions.close(who, Date.now() + config.sessionMs), view: begin.view };
      } catch (error) {
        return {
          refusal: refusalOf(client, error),
          says: error instanceof Error ? error.message : String(error),
        };
      }
    },
    whoHas: (session) => sessions.open(session) as Who | undefined,
  };
}

/** Asked once, and again after a failure. */
function discovered(client: typeof Client, config: OidcConfig, secret: string) {
  let asking: Promise<Client.Configuration> | undefined;
  const isPlain = config.issuer.startsWith('http:');
  return (): Promise<Client.Configuration> => {
    asking ??= client
      .discovery(
        new URL(config.issuer),
        config.clientId,
        { client_secret: secret },
        clientAuth(client, secret),
        {
          timeout: patienceSeconds,
          execute: [
            client.enableNonRepudiationChecks,
            // Of this machine alone: the configuration takes no other.
            ...(isPlain ? [client.allowInsecureRequests] : []),
          ],
        },
      )
      .catch((error: unknown) => {
        asking = undefined;
        throw error;
      });
    return asking;
  };
}

/** As the provider takes it; one that does not say takes HTTP Basic. */
function clientAuth(client: typeof Client, secret: string): Client.ClientAuth {
  const [post, basic] = [client.ClientSecretPost(secret), client.ClientSecretBasic(secret)];
  return (as, ...rest) =>
    ((as.token_endpoint_auth_methods_supported ?? ['client_secret_basic']).includes('client_secret_basic')
      ? basic
      : post)(as, ...rest);
}

/** Some providers put groups into the ID token, others only where userinfo is asked. */
async function allClaims(
  client: typeof Client,
  known: Client.Configuration,
  { groupsClaim, nameClaim }: OidcConfig,
  claims: Readonly<Record<string, unknown>> & { readonly sub: string },
  accessToken: string,
): Promise<Readonly<Record<string, unknown>>> {
  const isWhole = claims[groupsClaim] !== undefined && claims[nameClaim] !== undefined;
  if (isWhole || known.serverMetadata().userinfo_endpoint === undefined) return claims;
  return { ...(await client.fetchUserInfo(known, accessToken, claims.sub)), ...claims };
}

function refusalOf(client: typeof Client, error: unknown): OidcRefusal {
  if (error instanceof client.AuthorizationResponseError) return 'denied';
  // State, nonce and the like, which are not what was sent.
  return error instanceof client.ClientError && /OAUTH_(INVALID_RESPONSE|JWT_CLAIM)/.test(error.code ?? '')
    ? 'stale'
    : 'provider';
}
