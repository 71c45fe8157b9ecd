/** The dashboard: a page, and the API it is made of. */
import type { FastifyInstance } from 'fastify';
import type { RouteGroup } from '../http/server.ts';
import { Turnstile } from '../http/limits.ts';
import { RequestRefused, sendProblem } from '../http/problem.ts';
import { bodyBytesMax } from '../http/requests.ts';
import { accessFor, type Access } from './access.ts';
import { paramPatterns, type Endpoint, type Services } from './endpoint.ts';
import { endpoints } from './endpoints.ts';
import { addFiles, readPageFiles, securityHeaders } from './files.ts';
import { checked, readBody } from './inputs.ts';
import type { JwtVerifier } from './jwt.ts';
import type { Oidc } from './oidc.ts';
import { dashboardDocument } from './openapi.ts';
import { Rates } from './rates.ts';
import { addSession } from './session.ts';
import { whyNot } from './who.ts';

export interface DashboardOptions extends Services {
  /** Who works on this machine: in the audit, where nobody signs in. */
  readonly localName: string;
  readonly jwt: JwtVerifier | null;
  readonly oidc: Oidc | null;
}

/** @throws OutboxError OUTBOX_DASHBOARD_UNPROTECTED */
export function dashboardGroup(options: DashboardOptions): RouteGroup {
  const { config } = options;
  const access = accessFor(options);
  const path = config.url === null ? '' : new URL(config.url).pathname.replace(/\/+$/, '');
  const files = readPageFiles(config.url === null ? null : `${path}/`);
  const document = dashboardDocument(endpoints);
  const limits = { rates: new Rates(100, 600), signIns: new Rates(0.2, 10), turnstile: new Turnstile() };
  const add = async (app: FastifyInstance): Promise<void> => {
    addManners(app, access, options, limits);
    addFiles(app, files);
    await app.register(
      async (api) => {
        api.addHook('onRequest', async (_request, reply) => void reply.header('cache-control', 'no-store'));
        api.setNotFoundHandler((_request, reply) => {
          sendProblem(
            reply.headers(securityHeaders),
            new RequestRefused(404, 'there is nothing at this address'),
          );
          return reply;
        });
        api.get('/openapi.json', (_request, reply) => reply.send(document));
        const { oidc, log } = options;
        const tokens = config.signIn?.tokens === true;
        const { signIns } = limits;
        addSession(api, { access, tokens, oidc, signIns, base: `${path}/`, log });
        for (const each of endpoints) addEndpoint(api, each, access, options);
      },
      { prefix: '/v1' },
    );
  };
  return {
    name: 'dashboard',
    listen: config.listen,
    register: async (app) => {
      await app.register(add);
      // A proxy may pass the path on that people use, or take it away.
      if (path !== '') await app.register(add, { prefix: path });
    },
  };
}

interface Limits {
  readonly rates: Rates;
  readonly signIns: Rates;
  readonly turnstile: Turnstile;
}

/** What holds for every answer: headers, limits, who is asked at all, and errors that show nothing of the inside. */
function addManners(app: FastifyInstance, access: Access, { log }: DashboardOptions, limits: Limits): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer', bodyLimit: bodyBytesMax },
    ({ headers }, body, done) => {
      const charset = /charset=["']?([^"';\s]*)/i.exec(headers['content-type'] ?? '')?.[1];
      if (charset === undefined || charset.toLowerCase() === 'utf-8') done(null, body);
      else done(new RequestRefused(415, 'expected UTF-8'));
    },
  );
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers(securityHeaders);
    limits.rates.take(request.ip);
    access.refuseStrangers(request);
    limits.turnstile.enter(reply);
  });
  app.setErrorHandler((error, request, reply) => {
    if (sendProblem(reply, error) >= 500)
      log.error(
        { method: request.method, route: request.routeOptions.url, error: String(error) },
        'dashboard request failed',
      );
    return reply;
  });
}

function addEndpoint(app: FastifyInstance, one: Endpoint, access: Access, services: Services): void {
  app.route({
    method: one.method,
    url: one.path.replace(/\{(\w+)\}/g, ':$1'),
    handler: async (request, reply) => {
      const who = await access.identify(request);
      const refusal = whyNot(who, one.need);
      if (refusal !== null) throw new RequestRefused(403, refusal);
      const params = readParams(request.params as Readonly<Record<string, string>>);
      const query = checked(one.query, request.query, 'query');
      const { body, text } =
        one.body === undefined ? { body: undefined, text: '' } : readBody(one.body, request.body);
      const ifMatch = request.headers['if-match'];
      const call = { ...services, who, params, query, body, text, ifMatch };
      return reply.send(await one.handle(call as never));
    },
  });
}

function readParams(given: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(given).map(([name, written]) => {
      const param = paramPatterns[name];
      const value = name === 'destination' ? written : written.toLowerCase();
      if (param?.pattern.test(value) !== true)
        throw new RequestRefused(400, `expected ${param?.expected ?? 'nothing'} in the path`);
      return [name, value];
    }),
  );
}
