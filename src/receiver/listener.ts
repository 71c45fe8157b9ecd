import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from './answers.ts';
import { readBody } from './body.ts';
import type { HeaderSource } from './headers.ts';
import type { ReceiverRequest } from './request.ts';

export interface ListenerParts {
  /** What there is to say before the body is read; null when it is worth reading. */
  readonly judge: (method: string, headers: HeaderSource) => Answer | null;
  readonly answer: (request: ReceiverRequest) => Promise<Answer>;
  readonly maxBodyBytes: number;
  readonly tooLarge: Answer;
  /** What to answer when the receiver was set up wrongly. */
  readonly fault: (error: unknown) => Answer;
}

/** How long a sender that was answered 413 may go on sending before the connection is cut. */
const lingerMs = 2_000;

export function nodeListener({ judge, answer, maxBodyBytes, tooLarge, fault }: ListenerParts) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', headers } = request;
    const unfit = judge(method, headers);
    if (unfit !== null) return refuse(request, response, unfit, maxBodyBytes);
    let body: Uint8Array | null;
    try {
      body = await readBody(request, maxBodyBytes);
    } catch (error) {
      // Broken off by the sender: nobody is there to be answered.
      if (!request.destroyed || request.complete) give(response, fault(error));
      return;
    }
    if (body === null) return refuseRest(request, response, tooLarge);
    give(response, await answer({ method, headers, body }));
  };
}

function give(response: ServerResponse, { status, headers, body }: Answer): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, headers).end(body ?? undefined);
}

/** A body that is known to be short is let pass, and the connection kept: the sender has better requests to send over it. */
function refuse(request: IncomingMessage, response: ServerResponse, answer: Answer, bytesMax: number): void {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  const isShort = encoding === undefined && Number(length ?? 0) <= bytesMax;
  if (isShort || request.complete) return give(response, answer);
  refuseRest(request, response, answer);
}

/** What is still under way is discarded, for a while: a connection cut at once could lose the answer. */
function refuseRest(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  give(response, { ...answer, headers: { ...answer.headers, connection: 'close' } });
  request.on('error', () => undefined).resume();
  setTimeout(() => request.destroy(), lingerMs).unref();
}
