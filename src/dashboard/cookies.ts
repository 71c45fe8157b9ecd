/** What a browser keeps: no script reads it, and only this dashboard gets it. */
import type { FastifyRequest } from 'fastify';

export const cookies = {
  /** A token of ours. */
  token: 'outbox_session',
  /** Who signed in at an OpenID provider, sealed. */
  person: 'outbox_person',
  /** What was sent to the provider, sealed, until it sends the browser back. */
  begun: 'outbox_sign_in',
} as const;
type Cookie = (typeof cookies)[keyof typeof cookies];

export function cookieOf({ headers }: FastifyRequest, name: Cookie): string | undefined {
  return new RegExp(`(?:^|; *)${name}=([A-Za-z0-9_-]+)`).exec(headers.cookie ?? '')?.[1];
}

export interface CookieUse {
  readonly path: string;
  /** 0 takes it away. */
  readonly seconds: number;
  readonly secure: boolean;
  /** Whether it comes along when another site sends the browser here: the way back from a provider. */
  readonly fromElsewhere?: boolean;
}

export function cookieText(name: Cookie, value: string, use: CookieUse): string {
  return [
    `${name}=${value}`,
    ...['HttpOnly', `SameSite=${use.fromElsewhere === true ? 'Lax' : 'Strict'}`],
    ...[`Path=${use.path}`, `Max-Age=${use.seconds}`],
    ...(use.secure ? ['Secure'] : []),
  ].join('; ');
}
