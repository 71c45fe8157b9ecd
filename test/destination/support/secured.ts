/** The way to a receiver as companies have it: servers that ask for certificates, proxies, token endpoints. All real. */
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import { connect, type AddressInfo, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

const closers: (() => Promise<void>)[] = [];

export async function closeSecured(): Promise<void> {
  await Promise.all(closers.splice(0).map((close) => close()));
}

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return (server.address() as AddressInfo).port;
}

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** Serial number of the client's certificate; undefined without one. */
  readonly certificate: string | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Record<string, string>;
}

/** An HTTPS server, or with `tls: null` a plain one; answers 204 unless told otherwise. */
export async function securedReceiver(
  tls: ServerOptions | null,
  answer: (seen: Seen, count: number) => Answer | Promise<Answer> = () => ({ status: 204 }),
) {
  const seen: Seen[] = [];
  const respond = async (request: IncomingMessage): Promise<Answer> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const certificate = (request.socket as TLSSocket).getPeerCertificate?.()?.serialNumber;
    const { method = '', url = '', headers } = request;
    const one = { method, url, headers, body: Buffer.concat(chunks).toString(), certificate };
    seen.push(one);
    return answer(one, seen.length);
  };
  const handle: Parameters<typeof createServer>[1] = (request, response) => {
    void respond(request).then(({ status, body, headers }) => response.writeHead(status, headers).end(body));
  };
  const port = await listening(tls === null ? createServer(handle) : createTlsServer(tls, handle));
  const scheme = tls === null ? 'http' : 'https';
  return { url: `${scheme}://localhost:${port}/hooks`, port, seen };
}

/** A proxy as RFC 9110 has it: CONNECT for https, and requests with a whole address for http. `names` leads names to this machine. */
export async function proxy(
  options: { readonly login?: string; readonly refuse?: number; readonly tls?: ServerOptions } = {},
) {
  const connects: string[] = [];
  const requests: { url: string; headers: IncomingMessage['headers'] }[] = [];
  const allowed = (request: IncomingMessage): boolean =>
    options.login === undefined ||
    request.headers['proxy-authorization'] === `Basic ${Buffer.from(options.login).toString('base64')}`;
  const { tls } = options;
  const server = tls === undefined ? createServer() : createTlsServer(tls);
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    connects.push(request.url ?? '');
    socket.on('error', () => undefined);
    const status = allowed(request) ? options.refuse : 407;
    if (status !== undefined) return void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
    const target = connect(Number(request.url?.split(':').at(-1)), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      target.pipe(socket).pipe(target);
    });
    target.on('error', () => socket.destroy());
    socket.on('close', () => target.destroy());
  });
  server.on('request', (request, response) => {
    const { url = '', headers } = request;
    requests.push({ url, headers });
    if (!allowed(request)) return void response.writeHead(407).end();
    response.writeHead(204).end();
  });
  const port = await listening(server);
  return { url: `${tls === undefined ? 'http' : 'https'}://localhost:${port}`, port, connects, requests };
}
