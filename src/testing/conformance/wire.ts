/** A wire that can be cut: stands between a client and a server, and misbehaves as told, at any moment. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * `pass`: all goes through. `refuse`: nobody listens, open connections break. `reset`: connections are taken and reset at once.
 * `blackhole`: connections stand, and nothing passes either way. `drop-reply`: requests arrive and are acted on, their
 * answers never come back. `delayMs`: everything arrives so much later, in order. `cutAfter`: each connection is reset once so many
 * more bytes have passed on it, either way.
 */
export type WireMode =
  | 'pass'
  | 'refuse'
  | 'reset'
  | 'blackhole'
  | 'drop-reply'
  | { readonly delayMs: number }
  | { readonly cutAfter: number };

export interface Wire {
  /** `127.0.0.1:port`, the same for as long as it lives. */
  readonly address: string;
  readonly port: number;
  /** From now on. Connections that lost bytes by their mode are broken when it changes: no stream goes on with a hole in it. */
  become(mode: WireMode): Promise<void>;
  /** Breaks every open connection; new ones are treated by the mode. */
  cut(): void;
  /** Bytes of clients passed on so far: tells that a request has left. */
  bytesSent(): number;
  /** Connections of clients that are open. */
  connections(): number;
  close(): Promise<void>;
}

/** `target`: `host:port`, asked for at each connection: a server may be started after its wire. */
export async function openWire(target: () => string): Promise<Wire> {
  const open = new Set<Socket>();
  let mode: WireMode = 'pass';
  let sent = 0;
  let clients = 0;

  const cut = (): void => {
    for (const socket of open) socket.resetAndDestroy();
  };
  const delayMs = (): number => (typeof mode === 'object' && 'delayMs' in mode ? mode.delayMs : 0);
  const passes = (direction: 'request' | 'reply'): boolean =>
    mode === 'pass' || typeof mode === 'object' || (mode === 'drop-reply' && direction === 'request');
  const server = createServer((client) => {
    clients++;
    keep(client).on('close', () => clients--);
    if (mode === 'reset') return void client.resetAndDestroy();
    const { hostname, port: targetPort } = new URL(`tcp://${target()}`);
    const upstream = keep(connect(Number(targetPort), hostname));
    const [toServer, toClient] = [inOrder(upstream, delayMs), inOrder(client, delayMs)];
    let passed = 0;
    const count = (bytes: Buffer): void => {
      passed = typeof mode === 'object' && 'cutAfter' in mode ? passed + bytes.length : 0;
      if (typeof mode === 'object' && 'cutAfter' in mode && passed > mode.cutAfter) client.resetAndDestroy();
    };
    client.on('data', (bytes: Buffer) => {
      if (!passes('request')) return;
      sent += bytes.length;
      toServer.write(bytes);
      count(bytes);
    });
    upstream.on('data', (bytes: Buffer) => {
      if (!passes('reply')) return;
      toClient.write(bytes);
      count(bytes);
    });
    client.on('close', () => toServer.end());
    upstream.on('close', () => toClient.end());
  });
  const keep = (socket: Socket): Socket => {
    open.add(socket);
    return socket
      .setNoDelay()
      .on('error', () => undefined)
      .on('close', () => open.delete(socket));
  };
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject).listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      if (!server.listening) return resolve();
      server.close(() => resolve());
      cut();
    });

  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    port,
    cut,
    close,
    bytesSent: () => sent,
    connections: () => clients,
    become: async (next) => {
      if (mode === 'blackhole' || (mode === 'drop-reply' && next !== 'blackhole')) cut();
      mode = next;
      if (next === 'refuse') return close();
      if (!server.listening) await listen(port);
      if (next === 'reset') cut();
    },
  };
}

interface Delayed {
  write(bytes: Buffer): void;
  /** Ends the connection, after all that was written before. */
  end(): void;
}

/** Writes to a socket after the delay of the moment; what came first goes first, whatever the delay has become. */
function inOrder(to: Socket, delayMs: () => number): Delayed {
  const waiting: { readonly at: number; readonly go: () => void }[] = [];
  const release = (): void => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const leftMs = next.at - performance.now();
      if (leftMs > 0) return void setTimeout(release, leftMs);
      waiting.shift();
      next.go();
    }
  };
  const later = (go: () => void): void => {
    if (waiting.length === 0 && delayMs() === 0) return go();
    waiting.push({ at: performance.now() + delayMs(), go });
    if (waiting.length === 1) release();
  };
  return {
    write: (bytes) =>
      later(() => {
        if (!to.destroyed) to.write(bytes);
      }),
    end: () => later(() => to.destroySoon()),
  };
}
