import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer } from './answers.ts';
import { readBody } from './body.ts';
import type { ReceiverRequest } from './request.ts';

export interface ListenerParts {
  readonly answer: (request: ReceiverRequest) => Promise<Answer>;
  readonly maxBodyBytes: number;
  readonly tooLarge: Answer;
  /** What to answer when the receiver was set up wrongly. */
  readonly fault: (error: unknown) => Answer;
}

/** How long a sender that was answered 413 may go on sending before the connection is cut. */
const lingerMs = 2_000;

export function nodeListener({ answer, maxBodyBytes, tooLarge, fault }: ListenerParts) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body: Uint8Array | null;
    try {
      body = await readBody(request, maxBodyBytes);
    } catch (error) {
      // Broken off by the sender: nobody is there to be answered.
      if (!request.destroyed || request.complete) give(response, fault(error));
      return;
    }
    if (body === null) return refuseRest(request, response, tooLarge);
    const { method = '', headers } = request;
    give(response, await answer({ method, headers, body }));
  };
}

function give(response: ServerResponse, { status, headers, body }: Answer): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, headers).end(body ?? undefined);
}

/** What is still under way is discarded, for a while: a connection cut at once could lose the answer. */
function refuseRest(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  give(response, { ...answer, headers: { ...answer.headers, connection: 'close' } });
  request.on('error', () => undefined).resume();
  setTimeout(() => request.destroy(), lingerMs).unref();
}
