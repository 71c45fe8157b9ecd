/** Receivers on real servers of each kind, with a consumer's database behind them. */
import { createServer, type RequestListener } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { signatures, signingKey } from '../../src/destination/http/signature.ts';
import type { Receiver } from '../../src/receiver/index.ts';
import { atEnd } from '../support/index.ts';

export const secret = `whsec_${Buffer.from('a secret of the receivers tests!').toString('base64')}`;

/** Answers the URL to post to. */
export type Serve = (receiver: Receiver) => Promise<string>;

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`;
}

export const servers: Readonly<Record<string, Serve>> = {
  'node:http': ({ listener }) => listen((request, response) => void listener(request, response)),
  Fastify: async (receiver) => {
    const app = fastify();
    await app.register(receiver.fastify, { path: '/hooks' });
    app.post('/echo', (request) => request.body);
    atEnd(() => app.close());
    return `${await app.listen({ port: 0, host: '127.0.0.1' })}/hooks`;
  },
  Express: async (receiver) => {
    const app = express();
    app.all('/hooks', receiver.listener);
    app.use(express.json());
    return listen(app);
  },
  'Express after express.raw()': async (receiver) => {
    const app = express();
    app.use(express.raw({ type: '*/*', limit: '10mb', inflate: false }));
    app.all('/hooks', receiver.listener);
    return listen(app);
  },
};

/** The beginning of the answer to a head whose body never comes; what is undefined is left out of the head. */
export async function answerToHead(
  url: string,
  headers: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const { port } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}\r\n`],
  );
  socket.write(`POST /hooks HTTP/1.1\r\nhost: 127.0.0.1\r\n${lines.join('')}\r\n`);
  try {
    return await new Promise<string>((resolve, reject) => {
      socket.once('data', (bytes) => resolve(bytes.toString().split('\r\n')[0] ?? '')).once('error', reject);
      socket.once('close', () => reject(new Error('closed without an answer')));
    });
  } finally {
    socket.destroy();
  }
}

export interface Post {
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

/** As our sender signs it. */
export function signed(
  id: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
) {
  const timestamp = String(Math.floor(Date.now() / 1000));
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures([signingKey(secret)], id, timestamp, body),
    ...headers,
  };
}

export interface Answered {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

export async function post(
  url: string,
  { method = 'POST', headers = {}, body = '' }: Post,
): Promise<Answered> {
  const init = method === 'GET' ? { method, headers } : { method, headers, body: body as string };
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

export async function deliver(
  url: string,
  id: string,
  body: string | Uint8Array = '{"total": 1}',
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  return post(url, { body, headers: signed(id, body, headers) });
}
