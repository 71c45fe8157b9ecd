import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';

const host = '127.0.0.1';

/** Below what Linux (32768), macOS and Windows (49152) give to outgoing connections; few servers are known to listen here. */
const [lowest, highest] = [20_000, 27_000];
const triesMax = 50;

/**
 * The preferred TCP port on 127.0.0.1 if nobody has it, else a free one that no outgoing connection is ever given, so that a server
 * finds it free again when it comes back. Another server may take it first: whoever calls this tries again with another one then.
 */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && preferred !== 0 && (await isFree(preferred))) return preferred;
  for (let tries = 0; tries < triesMax; tries++) {
    const port = randomInt(lowest, highest);
    if (await isFree(port)) return port;
  }
  return bind(0);
}

async function isFree(port: number): Promise<boolean> {
  // On some systems a listener on every address does not stop us from binding to one: ask both ways.
  if (await answers(port)) return false;
  return bind(port).then(
    () => true,
    () => false,
  );
}

/** Whether somebody accepts connections on that port of 127.0.0.1. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 });
    const finish = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
    socket.once('timeout', () => finish(false));
  });
}

function bind(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port }, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : port;
      server.close(() => resolve(bound));
    });
  });
}
