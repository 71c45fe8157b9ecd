/** Receivers of every temper: real HTTP servers, and TCP servers that say whatever bytes they are told to. */
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';

export interface ReceivedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface Receiver {
  readonly url: string;
  readonly port: number;
  readonly requests: ReceivedRequest[];
  /** Connections accepted so far. */
  connections: number;
}

const closers: (() => Promise<void>)[] = [];

export async function closeReceivers(): Promise<void> {
  await Promise.all(closers.splice(0).map((close) => close()));
}

/** An HTTP server; without an answer of its own it says 204. */
export async function httpReceiver(
  answer: (response: ServerResponse, request: ReceivedRequest) => void = (response) =>
    response.writeHead(204).end(),
): Promise<Receiver> {
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method = '', url = '', headers, rawHeaders } = incoming;
      const request = { method, url, headers, rawHeaders, body: Buffer.concat(chunks) };
      receiver.requests.push(request);
      answer(response, request);
    });
  });
  const receiver = await listen(server, '/hooks');
  return receiver;
}

/** A TCP server that hands over each request (once its head and body are complete) with the socket to answer on. */
export async function tcpReceiver(
  answer: (socket: Socket, request: string, count: number) => void,
): Promise<Receiver> {
  let count = 0;
  const server = createTcpServer((socket) => {
    let unread = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      unread += chunk.toString('latin1');
      for (;;) {
        const end = requestEnd(unread);
        if (end === -1) return;
        answer(socket, unread.slice(0, end), ++count);
        unread = unread.slice(end);
      }
    });
  });
  return listen(server, '/hooks');
}

/** Says the same bytes to every request, and then nothing. */
export function saying(bytes: string | Buffer, then: 'stay' | 'end' = 'stay'): Promise<Receiver> {
  return tcpReceiver((socket) => {
    socket.write(bytes);
    if (then === 'end') socket.end();
  });
}

function requestEnd(text: string): number {
  const head = text.indexOf('\r\n\r\n');
  if (head === -1) return -1;
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0);
  const end = head + 4 + length;
  return text.length < end ? -1 : end;
}

async function listen(server: Server | ReturnType<typeof createTcpServer>, path: string): Promise<Receiver> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    receiver.connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const receiver: Receiver = { url: `http://127.0.0.1:${port}${path}`, port, requests: [], connections: 0 };
  closers.push(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return receiver;
}
