/** What serves HTTP in a process: named groups of routes (metrics, health, api), each at its address, one server an address. */
import { STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fastify, type FastifyInstance, type FastifyReply } from 'fastify';
import { formatListen, type ListenAddress } from '../core/listen.ts';
import { OutboxError } from '../errors.ts';

export interface RouteGroup {
  /** For logs and {@link HttpServers.endpoints}: `metrics`, `api`. */
  readonly name: string;
  /** Groups that name the same address share a server. Port 0 takes any free one. */
  readonly listen: ListenAddress;
  /** Registers the routes, in a context of their own: hooks, parsers and error handlers set there concern this group alone. */
  readonly register: (app: FastifyInstance) => void | Promise<void>;
}

export interface HttpServers {
  /** Where each group is served, with the port that was taken: `{ metrics: 'http://127.0.0.1:9464' }`. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** Takes no new request, lets those under way end for up to five seconds. Any number of calls. */
  close(): Promise<void>;
}

/** A request is read within so long, headers and body. */
const requestTimeoutMs = 30_000;
const closeGraceMs = 5_000;

/**
 * Starts what the groups need; resolves when every address is bound.
 * @throws OutboxError OUTBOX_LISTEN_FAILED naming the address, with nothing left listening
 */
export async function startHttp(groups: readonly RouteGroup[]): Promise<HttpServers> {
  const servers: Bound[] = [];
  try {
    for (const ofAddress of groupsByAddress(groups)) servers.push(await listen(ofAddress));
  } catch (error) {
    await Promise.all(servers.map(({ app }) => close(app)));
    throw error;
  }
  let closing: Promise<unknown> | undefined;
  return {
    endpoints: Object.fromEntries(servers.flatMap(({ names, url }) => names.map((name) => [name, url]))),
    close: async () => void (await (closing ??= Promise.all(servers.map(({ app }) => close(app))))),
  };
}

interface Bound {
  readonly app: FastifyInstance;
  readonly names: readonly string[];
  readonly url: string;
}

/** Two groups that ask for any free port get one each. */
function groupsByAddress(groups: readonly RouteGroup[]): RouteGroup[][] {
  const byAddress = new Map<string, RouteGroup[]>();
  for (const [index, group] of groups.entries()) {
    const address = group.listen.port === 0 ? `any ${index}` : formatListen(group.listen);
    byAddress.set(address, [...(byAddress.get(address) ?? []), group]);
  }
  return [...byAddress.values()];
}

async function listen(groups: readonly RouteGroup[]): Promise<Bound> {
  const app = createApp();
  for (const { register } of groups) await app.register(async (scope) => register(scope));
  const { host, port } = (groups[0] as RouteGroup).listen;
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw notListening({ host, port }, error);
  }
  const bound = (app.server.address() as AddressInfo).port;
  return { app, names: groups.map(({ name }) => name), url: `http://${formatListen({ host, port: bound })}` };
}

/** Answers in JSON throughout; what went wrong inside is never shown to whoever asked. */
function createApp(): FastifyInstance {
  const app = fastify({ logger: false, requestTimeout: requestTimeoutMs, forceCloseConnections: 'idle' });
  app.setNotFoundHandler((_request, reply) => sendProblemOf(reply, 404, 'there is nothing at this address'));
  app.setErrorHandler((error: { statusCode?: number; message: string }, _request, reply) => {
    const status = error.statusCode ?? 500;
    const known = status >= 400 && status < 500;
    return sendProblemOf(
      reply,
      known ? status : 500,
      known ? error.message : 'this request could not be answered',
    );
  });
  return app;
}

/** As the API's own (RFC 9457), for what no group of endpoints answers. */
function sendProblemOf(reply: FastifyReply, status: number, detail: string): FastifyReply {
  const code = status < 500 ? 'OUTBOX_API_REQUEST' : 'OUTBOX_UNEXPECTED';
  return reply
    .code(status)
    .type('application/problem+json')
    .send(JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, detail, code }));
}

async function close(app: FastifyInstance): Promise<void> {
  // A connection whose request was under way turns idle only once that is answered.
  const sweep = setInterval(() => app.server.closeIdleConnections(), 50);
  const timer = setTimeout(() => app.server.closeAllConnections(), closeGraceMs);
  await app.close().finally(() => {
    clearInterval(sweep);
    clearTimeout(timer);
  });
}

function notListening(address: ListenAddress, cause: unknown): OutboxError {
  const { code } = cause as NodeJS.ErrnoException;
  const why = (code === undefined ? undefined : reasons[code]) ?? code ?? String(cause);
  return new OutboxError('OUTBOX_LISTEN_FAILED', `cannot listen at ${formatListen(address)}: ${why}`, {
    cause,
    hint: 'Name another address (port 0 takes any free one): each process of a machine needs its own.',
  });
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there',
  EACCES: 'this user may not',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such name',
};
