/** HTTP between sender and receiver as it is at its worst: repeats, overtakes, and loses answers after the effect. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { atEnd } from '../support/index.ts';

export interface UnreliableWire {
  readonly url: string;
  /** Of what the receiver did; an answer counts here, whether it reached the sender or not. */
  readonly counts: { answered: number; repeated: number; delayed: number; cut: number; duplicates: number };
}

interface Reply {
  readonly status: number;
  readonly headers: Record<string, string>;
}

/** @param target `http://host:port` */
export async function startUnreliableWire(target: string): Promise<UnreliableWire> {
  const counts = { answered: 0, repeated: 0, delayed: 0, cut: 0, duplicates: 0 };
  const upstream = new Pool(target, { connections: 64, pipelining: 1 });

  const forward = async (request: IncomingMessage, body: Buffer): Promise<Reply> => {
    const headers = Object.entries(request.headers).filter(
      ([name]) => !['host', 'connection', 'content-length', 'transfer-encoding'].includes(name),
    ) as [string, string][];
    const answer = await upstream.request({
      path: request.url ?? '/',
      method: 'POST',
      headers: Object.fromEntries(headers),
      body,
    });
    await answer.body.dump();
    counts.answered++;
    const inbox = String(answer.headers['outbox-inbox'] ?? '');
    if (inbox === 'duplicate') counts.duplicates++;
    const kept = Object.entries(answer.headers).filter(([name]) => name === 'retry-after') as [
      string,
      string,
    ][];
    return { status: answer.statusCode, headers: Object.fromEntries(kept) };
  };

  const pass = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const mood = Math.random();
    if (mood < 0.03) {
      counts.repeated++;
      void forward(request, body).catch(() => undefined);
    } else if (mood < 0.05) {
      counts.repeated++;
      void sleep(300 * Math.random())
        .then(() => forward(request, body))
        .catch(() => undefined);
    } else if (mood < 0.09) {
      counts.delayed++;
      await sleep(150 * Math.random());
    }
    const { status, headers } = await forward(request, body);
    if (mood > 0.97) {
      counts.cut++;
      response.destroy();
    } else response.writeHead(status, headers).end();
  };

  const server = createServer((request, response) => {
    // The receiver is dead, or died on it.
    pass(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(async () => {
    server.closeAllConnections();
    server.close();
    await upstream.destroy();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, counts };
}
