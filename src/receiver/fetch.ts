/** Request → Response, as the Fetch standard has them. */
import type { Answer } from './answers.ts';
import { bodyWasRead } from './body.ts';
import type { ListenerParts } from './listener.ts';

/** What is used of a Request. */
export interface FetchRequest {
  readonly method: string;
  readonly headers: { get(name: string): string | null };
  readonly bodyUsed: boolean;
  readonly body: { getReader(): BodyReader } | null;
}

interface BodyReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

export function fetchHandler({ judge, answer, maxBodyBytes, tooLarge, fault }: ListenerParts) {
  return async (request: FetchRequest): Promise<Response> => {
    try {
      const { method, headers } = request;
      const unfit = judge(method, headers);
      if (unfit !== null) return responseOf(unfit);
      const body = await readBody(request, maxBodyBytes);
      return responseOf(body === null ? tooLarge : await answer({ method, headers, body }));
    } catch (error) {
      return responseOf(fault(error));
    }
  };
}

/** Null when there are more than `bytesMax`. */
async function readBody(request: FetchRequest, bytesMax: number): Promise<Uint8Array | null> {
  if (request.bodyUsed) throw bodyWasRead();
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) return null;
  const reader = request.body?.getReader();
  const chunks: Uint8Array[] = [];
  for (let bytes = 0; reader !== undefined;) {
    const { done, value } = await reader.read();
    if (done || value === undefined) break;
    chunks.push(value);
    bytes += value.length;
    if (bytes > bytesMax) {
      void reader.cancel().catch(() => undefined);
      return null;
    }
  }
  return Buffer.concat(chunks);
}

function responseOf({ status, headers, body }: Answer): Response {
  return new Response(body, { status, headers: { ...headers } });
}
