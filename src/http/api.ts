/** The HTTP API: half messages and events for producers that do not reach PostgreSQL. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Log } from '../../activities/index.ts';
import type { ApiConfig } from '../core/api.ts';
import type { Environment } from '../core/secrets.ts';
import type { ApiTelemetry } from '../core/telemetry.ts';
import { commitMessage, prepareMessage, readMessage, rollbackMessage } from '../halfMessages/client.ts';
import { enqueue, type SqlClient } from '../produce/enqueue.ts';
import { Latest } from '../metrics/latest.ts';
import type { Pool } from '../storage/connect.ts';
import { guardFor } from './access.ts';
import { Turnstile, withLimits } from './limits.ts';
import { openApiDocument } from './openapi.ts';
import { RequestRefused, sendProblem } from './problem.ts';
import { bodyBytesMax, readEvent, readMessageBody } from './requests.ts';
import type { RouteGroup } from './server.ts';

export interface ApiOptions {
  /** The API's own: what it waits for must not be what relay and worker wait for. */
  readonly pool: Pool;
  readonly config: ApiConfig;
  /** Where the tokens' `env:NAME` come from. */
  readonly env: Environment;
  readonly log: Log;
  /** Whether `/healthz` is served with it; false where another group of the same address has one. */
  readonly health: boolean;
  /** Default: nobody counts. */
  readonly telemetry?: ApiTelemetry | undefined;
}

/** @throws OutboxError OUTBOX_API_UNPROTECTED, OUTBOX_SECRET_MISSING */
export function apiGroup({ pool, config, env, log, health, telemetry }: ApiOptions): RouteGroup {
  const guard = guardFor(config, env);
  return {
    name: 'api',
    listen: config.listen,
    register: async (app) => {
      if (health) addHealth(app, pool);
      await app.register(
        async (scope) => {
          if (telemetry !== undefined) countAnswers(scope, telemetry);
          addRoutes(scope, withLimits(pool), guard, log);
        },
        { prefix: '/v1' },
      );
    },
  };
}

function addHealth(app: FastifyInstance, pool: Pool): void {
  // However many ask, the database is asked once a second.
  const latest = new Latest(() => pool.query('select 1'), {
    freshMs: 1_000,
    patienceMs: 3_000,
    staleMs: 5_000,
  });
  app.get('/healthz', async (_request, reply) => {
    const ok = (await latest.get()) !== undefined && latest.error === undefined;
    return reply
      .code(ok ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ ok });
  });
}

function countAnswers(app: FastifyInstance, telemetry: ApiTelemetry): void {
  app.addHook('onResponse', (request, reply, done) => {
    telemetry.answered(request.method, request.routeOptions.url, reply.statusCode, reply.elapsedTime);
    done();
  });
}

function addRoutes(
  app: FastifyInstance,
  client: SqlClient,
  guard: (request: FastifyRequest) => void,
  log: Log,
): void {
  app.removeAllContentTypeParsers();
  const options = { parseAs: 'buffer', bodyLimit: bodyBytesMax } as const;
  // As bytes: the payload's text is passed on as it stands.
  app.addContentTypeParser('application/json', options, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, request, reply) => {
    if (sendProblem(reply, error) >= 500)
      log.error(
        { method: request.method, route: request.routeOptions.url, error: String(error) },
        'API request failed',
      );
    return reply;
  });
  app.setNotFoundHandler((_request, reply) => {
    sendProblem(
      reply,
      new RequestRefused(
        404,
        'there is nothing at this address',
        'GET /v1/openapi.json lists what there is.',
      ),
    );
    return reply;
  });
  app.get('/openapi.json', (_request, reply) => reply.send(openApiDocument()));
  void app.register(async (guarded) => {
    const turnstile = new Turnstile();
    // Before the body is read: who may, whether there is room, and how much is announced.
    guarded.addHook('onRequest', async (request, reply) => {
      guard(request);
      refuseLength(request);
      turnstile.enter(reply);
    });
    addMessages(guarded, client);
    guarded.post('/events', async ({ body }, reply) => {
      const written = await enqueue(client, readEvent(body), { ownTransaction: true });
      return reply.code(written.inserted ? 201 : 200).send(written);
    });
  });
}

/** Fastify looks at it too, after the hooks. */
function refuseLength({ headers }: FastifyRequest): void {
  const length = headers['content-length'];
  if (length !== undefined && Number(length) > bodyBytesMax)
    throw new RequestRefused(413, `the body is too large; expected ${bodyBytesMax} bytes at most`);
}

interface WithId {
  Params: { id: string };
}

function addMessages(app: FastifyInstance, client: SqlClient): void {
  app.post('/messages', async ({ body }, reply) => {
    const prepared = await prepareMessage(client, readMessageBody(body));
    return reply.code(prepared.inserted ? 201 : 200).send(prepared);
  });
  app.get<WithId>('/messages/:id', async ({ params }) => readMessage(client, params.id));
  app.post<WithId>('/messages/:id/commit', async ({ params }) => commitMessage(client, params.id));
  app.post<WithId>('/messages/:id/rollback', async ({ params }) => rollbackMessage(client, params.id));
}
