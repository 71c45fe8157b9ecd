/** Who may use the dashboard, and from where. */
import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { isLoopback } from '../core/api.ts';
import type { DashboardConfig } from '../core/dashboard.ts';
import { formatListen } from '../core/listen.ts';
import { OutboxError } from '../errors.ts';
import { RequestRefused } from '../http/problem.ts';
import type { Pool } from '../storage/connect.ts';
import { findToken } from '../storage/tokens.ts';
import { cookieOf, cookies } from './cookies.ts';
import type { JwtVerifier } from './jwt.ts';
import type { Oidc } from './oidc.ts';
import type { Who } from './who.ts';

export interface Access {
  /** @throws RequestRefused 403 for another host's name, or another site's page */
  refuseStrangers(request: FastifyRequest): void;
  /** @throws RequestRefused 401 */
  identify(request: FastifyRequest): Promise<Who>;
  /** Whose token it is; undefined for a wrong one, and where tokens are not taken. */
  whoHas(token: string): Promise<Who | undefined>;
  /** Whether a cookie may be sent back over this connection alone. */
  isSecure(request: FastifyRequest): boolean;
}

export interface AccessOptions {
  readonly config: DashboardConfig;
  readonly pool: Pool;
  /** Who works on this machine, where nobody signs in. */
  readonly localName: string;
  readonly jwt: JwtVerifier | null;
  readonly oidc: Oidc | null;
}

/** @throws OutboxError OUTBOX_DASHBOARD_UNPROTECTED for an address beyond this machine without sign-in */
export function accessFor({ config, pool, localName, jwt, oidc }: AccessOptions): Access {
  const { listen, signIn } = config;
  if (signIn === null && !isLoopback(listen.host)) throw unprotected(formatListen(listen));
  const ownHost = config.url === null ? null : new URL(config.url).host;
  const tokens = tokenReader(pool);
  const whoHas = async (token: string): Promise<Who | undefined> =>
    signIn?.tokens === true && token.length <= 512 ? tokens(token) : undefined;
  return {
    whoHas,
    isSecure: (request) => config.url?.startsWith('https:') === true || forwardedProto(request) === 'https',
    refuseStrangers: (request) => {
      // Without sign-in any web page could have a browser send requests here, under a name of its own (DNS rebinding).
      const isKnown = isLoopback(request.hostname) || request.host === ownHost;
      if (!isKnown && (signIn === null || ownHost !== null))
        throw new RequestRefused(
          403,
          'the dashboard does not answer to this host name',
          'Name the address that people use in dashboard.url.',
        );
      refuseOtherSites(request, ownHost);
    },
    identify: async (request) => {
      if (signIn === null) return { name: localName, role: 'admin', payloads: true, by: 'machine' };
      const who =
        (await byJwt(request, jwt)) ??
        oidc?.whoHas(cookieOf(request, cookies.person) ?? '') ??
        (await whoHas(tokenOf(request) ?? ''));
      if (who === undefined)
        throw new RequestRefused(401, 'nobody is signed in, or the token is not valid any more');
      return who;
    },
  };
}

async function byJwt(request: FastifyRequest, jwt: JwtVerifier | null): Promise<Who | undefined> {
  if (jwt === null) return undefined;
  const written = request.headers[jwt.header];
  const value = Array.isArray(written) ? written[0] : written;
  // Three parts: a token of ours in the same header is none.
  const token = value?.replace(/^bearer +/i, '');
  return token === undefined || token.split('.').length !== 3 ? undefined : jwt.verify(token);
}

function tokenOf(request: FastifyRequest): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
  return bearer ?? cookieOf(request, cookies.token);
}

/** A page of another site may neither read nor send: browsers say where a request comes from. */
function refuseOtherSites({ method, headers, host }: FastifyRequest, ownHost: string | null): void {
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  const isOther =
    (origin !== undefined && !isOf(origin, host, ownHost)) ||
    (site !== undefined && !['same-origin', 'none'].includes(String(site)));
  // A link from elsewhere may open the page itself.
  const isLooking = method === 'GET' && headers['sec-fetch-mode'] === 'navigate';
  if (isOther && !isLooking) throw new RequestRefused(403, 'requests from pages of other sites are refused');
}

function isOf(origin: string, host: string, ownHost: string | null): boolean {
  if (!URL.canParse(origin)) return false;
  const from = new URL(origin).host;
  return from !== '' && (from === host || from === ownHost);
}

function forwardedProto({ headers }: FastifyRequest): string | undefined {
  return headers['x-forwarded-proto']?.toString().split(',')[0]?.trim();
}

const rememberMs = 5_000;
const remembered = 1_000;

/** A token is looked up once in five seconds: a page asks every few. */
function tokenReader(pool: Pool): (token: string) => Promise<Who | undefined> {
  const known = new Map<string, { readonly until: number; readonly who: Who | undefined }>();
  return async (token) => {
    if (!/^[A-Za-z0-9_-]{16,512}$/.test(token)) return undefined;
    const digest = digestOf(token);
    const name = digest.toString('hex');
    const found = known.get(name);
    if (found !== undefined && found.until > performance.now()) return found.who;
    const stored = await findToken(pool, digest);
    const who: Who | undefined =
      stored === undefined
        ? undefined
        : { name: stored.name, role: stored.role, payloads: stored.payloads, by: 'token' };
    if (known.size >= remembered) known.clear();
    known.set(name, { until: performance.now() + rememberMs, who });
    return who;
  };
}

export function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function unprotected(address: string): OutboxError {
  return new OutboxError(
    'OUTBOX_DASHBOARD_UNPROTECTED',
    `the dashboard would listen at ${address} without sign-in`,
    {
      hint: 'Configure it, dashboard: { signIn: { tokens: true } }, and make a token with temporal-outbox tokens make; or listen at 127.0.0.1.',
    },
  );
}
