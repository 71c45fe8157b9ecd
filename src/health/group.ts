import type { FastifyInstance, FastifyReply } from 'fastify';
import { Latest } from '../metrics/latest.ts';
import { healthOf, type Health, type Look } from './checks.ts';

export interface HealthLooks {
  /** Whether this process should be ended and started anew. */
  readonly alive: Readonly<Record<string, Look>>;
  /** Whether it can do its work. */
  readonly ready: Readonly<Record<string, Look>>;
  /** How many of `ready` must be well. Default: each. */
  readonly readyWhen?: 'each' | 'any';
  /** What was thrown, in one line without a secret. */
  readonly inWords: (error: unknown) => string;
}

/** However many ask, the servers are asked once a second. */
const freshMs = 1_000;

/** `GET /healthz`, `GET /readyz`: 200 or 503, and each check with what is wrong. */
export function healthRoutes({
  alive,
  ready,
  readyWhen,
  inWords,
}: HealthLooks): (app: FastifyInstance) => void {
  const options = { freshMs, patienceMs: 10_000, staleMs: 10_000 };
  const routes = {
    '/healthz': new Latest(() => healthOf(alive, inWords), options),
    '/readyz': new Latest(() => healthOf(ready, inWords, readyWhen), options),
  };
  return (app) => {
    for (const [path, latest] of Object.entries(routes))
      app.get(path, async (_request, reply) => answer(reply, await latest.get()));
  };
}

function answer(reply: FastifyReply, health: Health | undefined): FastifyReply {
  return reply
    .code(health?.ok === true ? 200 : 503)
    .header('cache-control', 'no-store')
    .send(health ?? { ok: false, checks: {} });
}
