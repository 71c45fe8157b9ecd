/** Signing in and out: with a token of ours, or at an OpenID provider. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { Log } from '../../activities/index.ts';
import { RequestRefused } from '../http/problem.ts';
import type { Access } from './access.ts';
import { cookieOf, cookies, cookieText } from './cookies.ts';
import { readBody } from './inputs.ts';
import { beginMs, type Oidc, type OidcRefusal } from './oidc.ts';
import type { Rates } from './rates.ts';

export interface SessionOptions {
  readonly access: Access;
  /** Whether tokens of ours are taken. */
  readonly tokens: boolean;
  readonly oidc: Oidc | null;
  readonly signIns: Rates;
  /** Where people find the page: `/`, or `/outbox/`. */
  readonly base: string;
  readonly log: Log;
}

const signInBody = z.strictObject({ token: z.string().min(1).max(512) });
const sessionSeconds = 12 * 3600;

export function addSession(app: FastifyInstance, options: SessionOptions): void {
  const { access, tokens, oidc, signIns, base } = options;
  const use = (request: FastifyRequest, seconds: number) => ({
    path: base,
    seconds,
    secure: access.isSecure(request),
  });
  app.get('/session', (_request, reply) =>
    reply.send({ tokens, oidc: oidc === null ? null : { label: oidc.label } }),
  );
  app.post('/session', async (request, reply): Promise<FastifyReply> => {
    signIns.take(request.ip);
    const { body } = readBody(signInBody, request.body);
    const token = (body as z.infer<typeof signInBody>).token.trim();
    const who = await access.whoHas(token);
    if (who === undefined)
      throw new RequestRefused(401, 'this token is not known, was revoked, or is out of date');
    return reply
      .header('set-cookie', cookieText(cookies.token, token, use(request, sessionSeconds)))
      .send({ name: who.name });
  });
  app.delete('/session', (request, reply) =>
    reply
      .header(
        'set-cookie',
        [cookies.token, cookies.person].map((name) => cookieText(name, '', use(request, 0))),
      )
      .send({ signedOut: true }),
  );
  if (oidc !== null) addOidc(app, oidc, options, use);
}

/** The page's own views: nothing that leads elsewhere. */
const viewPattern = /^\/[\w./?=&%+*-]{0,500}$/;

function addOidc(
  app: FastifyInstance,
  oidc: Oidc,
  { base, log }: SessionOptions,
  use: (request: FastifyRequest, seconds: number) => { path: string; seconds: number; secure: boolean },
): void {
  const refused = (reply: FastifyReply, refusal: OidcRefusal, says: string): FastifyReply => {
    log.warn({ refusal, says: says.slice(0, 500) }, 'sign-in at the OpenID provider was refused');
    return reply.redirect(`${base}#/?refused=${refusal}`, 303);
  };
  app.get('/session/oidc', async (request, reply) => {
    const { view = '/' } = request.query as { view?: unknown };
    try {
      const { url, sealed } = await oidc.begin(
        typeof view === 'string' && viewPattern.test(view) ? view : '/',
      );
      return await reply
        .header(
          'set-cookie',
          cookieText(cookies.begun, sealed, { ...use(request, beginMs / 1000), fromElsewhere: true }),
        )
        .redirect(url, 303);
    } catch (error) {
      return refused(reply, 'provider', String(error));
    }
  });
  app.get('/session/oidc/callback', async (request, reply) => {
    const search = new URL(request.url, 'http://any').search;
    const finished = await oidc.finish(search, cookieOf(request, cookies.begun));
    // Once: a second way back is none of ours.
    const over = cookieText(cookies.begun, '', { ...use(request, 0), fromElsewhere: true });
    if ('refusal' in finished)
      return refused(reply.header('set-cookie', over), finished.refusal, finished.says);
    const { who, session, view } = finished;
    log.info({ name: who.name, role: who.role, payloads: who.payloads }, 'signed in at the OpenID provider');
    const mine = cookieText(cookies.person, session, use(request, Math.floor(oidc.sessionMs / 1000)));
    return reply.header('set-cookie', [over, mine]).redirect(`${base}#${view}`, 303);
  });
}
