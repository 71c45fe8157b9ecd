/** The page's files, in memory: there are few, and nothing is built or read while it is served. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

interface PageFile {
  readonly type: string;
  readonly etag: string;
  readonly bytes: Buffer;
  readonly brotli: Buffer;
  readonly gzip: Buffer;
}

const types: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'app.js': 'text/javascript; charset=utf-8',
  'app.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};

/** Where the build put them: beside the compiled code, or in dist when this runs from sources. */
function folder(): URL {
  const places = ['../../dashboard/', '../../dist/dashboard/'].map(
    (place) => new URL(place, import.meta.url),
  );
  const found = places.find((place) => existsSync(new URL('index.html', place)));
  if (found === undefined) throw new Error('the files of the dashboard are missing: run npm run build');
  return found;
}

/** `base`: the path that people reach the page under, `/` or `/outbox/`; the page's links begin there. */
export function readPageFiles(base: string | null): ReadonlyMap<string, PageFile> {
  const at = folder();
  return new Map(
    Object.entries(types).map(([name, type]) => {
      const written = readFileSync(new URL(name, at));
      const bytes =
        name === 'index.html' && base !== null
          ? Buffer.from(written.toString().replace('<head>', `<head><base href="${base}">`))
          : written;
      const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
      const params = { [constants.BROTLI_PARAM_QUALITY]: 9 };
      return [
        name,
        { type, etag, bytes, brotli: brotliCompressSync(bytes, { params }), gzip: gzipSync(bytes) },
      ];
    }),
  );
}

/** Nothing from elsewhere, nothing inline, in no frame. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export const securityHeaders = {
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

export function addFiles(app: FastifyInstance, files: ReadonlyMap<string, PageFile>): void {
  for (const [name, file] of files)
    app.get(name === 'index.html' ? '/' : `/${name}`, (request, reply) => give(request, reply, file));
}

function give(request: FastifyRequest, reply: FastifyReply, file: PageFile): FastifyReply {
  void reply.headers({ etag: file.etag, 'cache-control': 'no-cache', vary: 'accept-encoding' });
  if (request.headers['if-none-match']?.includes(file.etag) === true) return reply.code(304).send();
  const taken = String(request.headers['accept-encoding'] ?? '');
  const encoding = /\bbr\b/.test(taken) ? 'br' : /\bgzip\b/.test(taken) ? 'gzip' : undefined;
  if (encoding !== undefined) void reply.header('content-encoding', encoding);
  const bytes = encoding === 'br' ? file.brotli : encoding === 'gzip' ? file.gzip : file.bytes;
  return reply.type(file.type).send(bytes);
}
