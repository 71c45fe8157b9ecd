import { collectDefaultMetrics, Registry } from 'prom-client';
import type { FastifyInstance } from 'fastify';
import { expose } from './exposition.ts';
import { familiesOf, type Scraped } from './families.ts';

/** Memory, CPU, event loop and garbage collection, under the names that dashboards for Node know. One set a process. */
let processMetrics: Registry | undefined;

/** `GET /metrics` */
export function metricsRoutes(scrape: () => Promise<Scraped>): (app: FastifyInstance) => void {
  return (app) => {
    app.get('/metrics', async (_request, reply) => {
      const scraped = await scrape();
      if (scraped.cutOff) void reply.code(503);
      const own = expose(familiesOf(scraped));
      void reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8');
      return `${own}\n${await registry().metrics()}`;
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
