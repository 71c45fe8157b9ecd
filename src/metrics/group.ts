import { collectDefaultMetrics, Registry } from 'prom-client';
import type { FastifyInstance } from 'fastify';
import { expose, type Family } from './exposition.ts';

/** Memory, CPU, event loop and garbage collection, under the names that dashboards for Node know. One set a process. */
let processMetrics: Registry | undefined;

export interface Read {
  readonly families: readonly Family[];
  /** A connection broke meanwhile: they are not whole. */
  readonly cutOff: boolean;
}

/** `GET /metrics` */
export function metricsRoutes(read: () => Promise<Read>): (app: FastifyInstance) => void {
  return (app) => {
    app.get('/metrics', async (_request, reply) => {
      const { families, cutOff } = await read();
      if (cutOff) void reply.code(503);
      void reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8');
      return `${expose(families)}\n${await registry().metrics()}`;
    });
  };
}

function registry(): Registry {
  if (processMetrics === undefined) {
    processMetrics = new Registry();
    collectDefaultMetrics({ register: processMetrics });
  }
  return processMetrics;
}
