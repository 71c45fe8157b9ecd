/** A proxy that speaks plain http and puts the dashboard under a path, as ingresses do. */
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { atEnd } from '../support/index.ts';

export interface PlainProxy {
  /** How people reach it: `http://127.0.0.1:<port>/ops/outbox` */
  readonly url: string;
  /** Where requests go from now on: `http://127.0.0.1:<port>` */
  leadTo(url: string): void;
}

/** `strip`: it takes its path away before it passes a request on. */
export async function startProxy(path: string, strip: boolean): Promise<PlainProxy> {
  let behind: URL | undefined;
  const server = createServer((incoming, outgoing) => {
    const asked = incoming.url ?? '/';
    if (behind === undefined || !asked.startsWith(`${path}/`)) {
      outgoing.writeHead(404).end('not the dashboard');
      return;
    }
    const { hostname, port } = behind;
    const passed = request(
      {
        ...{ hostname, port, method: incoming.method, headers: incoming.headers },
        path: strip ? asked.slice(path.length) : asked,
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    leadTo: (url) => (behind = new URL(url)),
  };
}
