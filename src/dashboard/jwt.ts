/** JSON Web Tokens that a proxy in front adds to each request. */
import type { ClaimsConfig, JwtConfig, Role } from '../core/dashboard.ts';
import { OutboxError } from '../errors.ts';
import type { Who } from './who.ts';

export interface JwtVerifier {
  /** Which header has it, lower case. */
  readonly header: string;
  /** Undefined for one that does not hold, or gives no role. */
  verify(token: string): Promise<Who | undefined>;
}

/** Loads `jose`, which only those who configure it need. @throws OutboxError OUTBOX_CLIENT_MISSING */
export async function jwtVerifier(config: JwtConfig): Promise<JwtVerifier> {
  const { createRemoteJWKSet, jwtVerify } = await import('jose').catch((cause: unknown) => {
    throw new OutboxError('OUTBOX_CLIENT_MISSING', 'dashboard.signIn.jwt needs the package jose', {
      cause,
      hint: 'npm install jose',
    });
  });
  const keys = createRemoteJWKSet(new URL(config.jwks), { timeoutDuration: 5_000 });
  return {
    header: config.header,
    verify: async (token) => {
      try {
        const { payload } = await jwtVerify(token, keys, {
          issuer: config.issuer,
          audience: config.audience,
          requiredClaims: ['exp'],
          clockTolerance: 5,
          // Never a shared secret, which `none` and HS256 would be, whatever the token says of itself.
          algorithms: [
            'RS256',
            'RS384',
            'RS512',
            'PS256',
            'PS384',
            'PS512',
            'ES256',
            'ES384',
            'ES512',
            'EdDSA',
          ],
        });
        return whoOf(payload, config, 'jwt');
      } catch {
        return undefined;
      }
    },
  };
}

export function whoOf(
  claims: Readonly<Record<string, unknown>>,
  config: ClaimsConfig,
  by: Who['by'],
): Who | undefined {
  const groups = new Set([claims[config.groupsClaim]].flat().filter((group) => typeof group === 'string'));
  const has = (wanted: readonly string[]): boolean => wanted.some((group) => groups.has(group));
  const role: Role | undefined = has(config.admin)
    ? 'admin'
    : has(config.operator)
      ? 'operator'
      : has(config.viewer)
        ? 'viewer'
        : undefined;
  const name = claims[config.nameClaim] ?? claims['sub'];
  if (role === undefined || typeof name !== 'string' || name === '') return undefined;
  return { name: name.slice(0, 200), role, payloads: has(config.payloads), by };
}
