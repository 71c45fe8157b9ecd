/** In front of a real Temporal server: passes everything on, and refuses the calls that it is told to, as an authorizer or a limit does. */
import {
  connect,
  constants,
  createSecureServer,
  createServer,
  type Http2Session,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { atEnd } from '../support/index.ts';

export interface TemporalGate {
  readonly address: string;
  /** From now on these calls (`DescribeWorkflowExecution`) are refused, and no others. */
  refuse(methods: readonly string[], refusal?: Refusal): void;
  /** How often each was refused. */
  readonly refused: ReadonlyMap<string, number>;
  /** Of each call: the serial number of the client's certificate, and its `authorization`. */
  readonly callers: {
    readonly method: string;
    readonly certificate: string | undefined;
    readonly authorization: string | undefined;
  }[];
  /** Ends the connections of who showed this certificate, and takes no more: as one that ran out. */
  banish(certificate: string): void;
}

/** PEM; who shows no certificate that `ca` vouches for is not let in. */
export interface GateTls {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export interface Refusal {
  /** gRPC's number. */
  readonly status: number;
  readonly message: string;
}

export const denied: Refusal = { status: 7, message: 'Request unauthorized.' };
export const limited: Refusal = { status: 8, message: 'namespace rate limit exceeded' };

export async function startTemporalGate(target: string, tls?: GateTls): Promise<TemporalGate> {
  const upstream = connect(`http://${target}`).on('error', () => undefined);
  let methods: readonly string[] = [];
  let refusal = denied;
  const refused = new Map<string, number>();
  const callers: TemporalGate['callers'] = [];
  const server =
    tls === undefined
      ? createServer()
      : createSecureServer({ ...tls, requestCert: true, rejectUnauthorized: true });
  const sessions = new Set<ServerHttp2Session>();
  let banished: string | undefined;
  server.on('session', (session: ServerHttp2Session) => {
    session.on('error', () => undefined).on('close', () => sessions.delete(session));
    if (banished !== undefined && certificateOf(session) === banished) session.destroy();
    else sessions.add(session);
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    const method = headers[':path']?.split('/').at(-1) ?? '';
    callers.push({
      method,
      certificate: certificateOf(stream.session),
      authorization: headers.authorization,
    });
    if (!methods.includes(method)) return pass(stream, headers);
    refused.set(method, (refused.get(method) ?? 0) + 1);
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': String(refusal.status),
        'grpc-message': refusal.message,
      },
      { endStream: true },
    );
  });
  const pass = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    const request = upstream.request(headers);
    let trailers: IncomingHttpHeaders = {};
    request.on('trailers', (found: IncomingHttpHeaders) => (trailers = found));
    request.on('response', (found, flags) => {
      if (stream.destroyed) return;
      const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      stream.respond(found, { endStream, waitForTrailers: !endStream });
      if (!endStream) request.pipe(stream);
    });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    request.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    stream.on('close', () => request.close(constants.NGHTTP2_CANCEL));
    stream.pipe(request);
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    for (const session of sessions) session.destroy();
    upstream.destroy();
    server.close();
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    refused,
    callers,
    banish: (certificate) => {
      banished = certificate;
      for (const session of sessions) if (certificateOf(session) === certificate) session.destroy();
    },
    refuse: (which, how = denied) => {
      methods = which;
      refusal = how;
    },
  };
}

function certificateOf(session: Http2Session | undefined): string | undefined {
  return (session?.socket as TLSSocket | undefined)?.getPeerCertificate?.()?.serialNumber;
}
