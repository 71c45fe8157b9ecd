/** The other side of the wire: a real HTTP server that remembers every request and answers as it is told. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { atEnd } from './cleanup.ts';

export interface ReceivedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Date.now() when the body was complete. */
  readonly receivedAtMs: number;
  /** `webhook-id`: the event's id, `<id>:r2` once edited. */
  readonly id: string;
  /** `Idempotency-Key` without its quotes. */
  readonly key: string;
  /** `outbox-attempt`. */
  readonly attempt: number;
}

/** A status; a whole answer; `hang`: no answer, the connection stays open; `reset`: the connection breaks unanswered. */
export type Answer =
  | number
  | { status: number; headers?: Record<string, string>; body?: string | Buffer; delayMs?: number }
  | 'hang'
  | 'reset';

/** `count` is 1 for this receiver's first request. */
export type Script = (request: ReceivedRequest, count: number) => Answer | Promise<Answer>;

export interface Receiver {
  readonly url: string;
  readonly port: number;
  /** In the order in which their bodies were complete. */
  readonly requests: ReceivedRequest[];
  /** Answers from now on. */
  answer(script: Answer | Script): void;
  /** The requests of one event, edited or not. */
  of(eventId: string): ReceivedRequest[];
  /** Breaks every connection and listens no more: an outage. */
  stop(): Promise<void>;
}

export interface ReceiverOptions {
  /** Default 204. */
  readonly answer?: Answer | Script;
  /** To come back where one was before. Default: any free one. */
  readonly port?: number;
  /** Default `/hook`. */
  readonly path?: string;
}

/** Stops when the test (or the file) ends. */
export async function startReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  const requests: ReceivedRequest[] = [];
  let script = asScript(options.answer ?? 204);
  const server = createServer((incoming, response) => {
    void receive(incoming)
      .then((request) => script(request, requests.push(request)))
      .then((answer) => give(answer, response))
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  };
  atEnd(stop);
  return {
    url: `http://127.0.0.1:${port}${options.path ?? '/hook'}`,
    port,
    requests,
    answer: (next) => void (script = asScript(next)),
    of: (eventId) => requests.filter(({ id }) => id === eventId || id.startsWith(`${eventId}:`)),
    stop,
  };
}

/** One answer after another, the last one for good. */
export function inTurn(...answers: readonly Answer[]): Script {
  let next = 0;
  return () => answers[Math.min(next++, answers.length - 1)] ?? 204;
}

/** Throws unless the reference library of Standard Webhooks accepts the request; answers its payload. */
export function verify(request: ReceivedRequest, secret: string): unknown {
  return new Webhook(secret).verify(request.body, request.headers as Record<string, string>);
}

function asScript(answer: Answer | Script): Script {
  return typeof answer === 'function' ? answer : () => answer;
}

async function receive(incoming: IncomingMessage): Promise<ReceivedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const { method = '', url = '', headers } = incoming;
  const header = (name: string): string => String(headers[name] ?? '');
  return {
    method,
    path: url,
    headers,
    body: Buffer.concat(chunks),
    receivedAtMs: Date.now(),
    id: header('webhook-id'),
    key: header('idempotency-key').replaceAll('"', ''),
    attempt: Number(header('outbox-attempt')),
  };
}

async function give(answer: Answer, response: ServerResponse): Promise<void> {
  if (answer === 'hang') return;
  if (answer === 'reset') return void response.destroy();
  const {
    status,
    headers = {},
    body = '',
    delayMs = 0,
  } = typeof answer === 'number' ? { status: answer } : answer;
  if (delayMs > 0) await sleep(delayMs);
  response.writeHead(status, headers).end(body);
}
