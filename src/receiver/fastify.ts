/** A Fastify plugin, by the shape of what it uses: nothing of Fastify is imported. */
import { refusal, type Answer } from './answers.ts';
import type { HeaderSource } from './headers.ts';
import type { ReceiverRequest } from './request.ts';

export interface FastifyReceiverOptions {
  /** Where it listens, under the prefix of the instance. Default `/`. */
  readonly path?: string;
}

interface Request {
  readonly method: string;
  readonly headers: HeaderSource;
  readonly body: unknown;
}

interface Reply {
  code(status: number): Reply;
  headers(values: Record<string, string>): Reply;
  send(body?: string): unknown;
}

/** What the plugin needs of a Fastify instance. */
export interface FastifyInstanceLike {
  removeAllContentTypeParsers(): unknown;
  addContentTypeParser(
    type: string,
    options: { parseAs: 'buffer'; bodyLimit: number },
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- Fastify's own types are generic over the server
    parser: (request: any, body: any, done: (error: Error | null, body?: unknown) => void) => void,
  ): unknown;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as above
  route(options: any): unknown;
}

export type FastifyReceiver = (
  instance: FastifyInstanceLike,
  options: FastifyReceiverOptions,
) => Promise<void>;

export interface FastifyParts {
  /** What there is to say before the body is read; null when it is worth reading. */
  readonly judge: (method: string, headers: HeaderSource) => Answer | null;
  readonly answer: (request: ReceiverRequest) => Promise<Answer>;
  readonly maxBodyBytes: number;
  readonly methods: readonly string[];
}

export function fastifyPlugin({ judge, answer, maxBodyBytes, methods }: FastifyParts): FastifyReceiver {
  return async (instance, { path = '/' }) => {
    // Encapsulated: the rest of the application keeps its parsers.
    instance.removeAllContentTypeParsers();
    instance.addContentTypeParser(
      '*',
      { parseAs: 'buffer', bodyLimit: maxBodyBytes },
      (_request, body, done) => done(null, body),
    );
    instance.route({
      method: [...methods],
      url: path,
      onRequest: async ({ method, headers }: Request, reply: Reply) => {
        const unfit = judge(method, headers);
        return unfit === null ? undefined : give(reply, unfit);
      },
      handler: async ({ method, headers, body }: Request, reply: Reply) => {
        const bytes = body instanceof Uint8Array ? body : new Uint8Array();
        return give(reply, await answer({ method, headers, body: bytes }));
      },
      errorHandler: (error: { statusCode?: number; message: string }, _request: Request, reply: Reply) => {
        const status = error.statusCode ?? 500;
        give(reply, refusal(status, status < 500 ? error.message : 'the receiver failed'));
      },
    });
  };
}

function give(reply: Reply, { status, headers, body }: Answer): unknown {
  reply.code(status).headers({ ...headers });
  return body === null ? reply.send() : reply.send(body);
}
