/** The raw body of a request, bounded. */
import type { IncomingMessage } from 'node:http';
import { OutboxError } from '../errors.ts';

/** Requests as other middleware may have left them: express.raw() puts the bytes into `body`, others into `rawBody`. */
type Parsed = IncomingMessage & { readonly body?: unknown; readonly rawBody?: unknown };

/**
 * The bytes as they came; null when there are more than `bytesMax`, the rest being unread then.
 *
 * @throws OutboxError OUTBOX_RECEIVER_BODY when something before us consumed them: a signature covers bytes, not what a
 *   parser made of them
 */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array | null> {
  const { rawBody, body } = request as Parsed;
  for (const kept of [rawBody, body]) {
    const bytes = typeof kept === 'string' ? Buffer.from(kept) : kept;
    if (bytes instanceof Uint8Array) return bytes.length > bytesMax ? null : bytes;
  }
  if (request.readableDidRead || body !== undefined) {
    throw bodyWasRead();
  }
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) return null;
  return collect(request, bytesMax);
}

export function bodyWasRead(): OutboxError {
  return new OutboxError(
    'OUTBOX_RECEIVER_BODY',
    'the body of the request was read before the receiver got it',
    {
      hint: 'Mount the receiver before express.json() and other body parsers, or express.raw({ type: "*/*", inflate: false }) on its path.',
    },
  );
}

function collect(request: IncomingMessage, bytesMax: number): Promise<Uint8Array | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes <= bytesMax) return void chunks.push(chunk);
      // Not by iterating and leaving the loop: that would destroy the connection before it was answered.
      request.off('data', take).pause();
      resolve(null);
    };
    request.on('data', take);
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', reject);
    request.once('close', () => reject(new Error('the request was broken off')));
  });
}
