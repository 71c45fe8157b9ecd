/** A way through a proxy: `CONNECT host:port` (RFC 9110, 9.3.6), and what the proxy says to it. */
import { isIPv6, type Socket } from 'node:net';
import { STATUS_CODES } from 'node:http';
import { printable } from '../../../core/printable.ts';
import type { Proxy } from './address.ts';

/** The code of an error that a proxy is to blame for. */
export const proxyFailureCode = 'OUTBOX_PROXY_FAILED';

/** Bytes of its answer at most. */
const headBytes = 16 * 1024;
const headEnd = '\r\n\r\n';

/** Of the proxy, and of nobody behind it: the destination is not reached. `code`: of the socket's own error, where it is one. */
export function proxyFailure({ label }: Proxy, text: string, code = proxyFailureCode): Error {
  return Object.assign(new Error(printable(`proxy ${label}: ${text}`, 300)), { code });
}

/** Calls back once, with null when the socket leads to the target. Whoever asked ends the socket when it does not. */
export function openTunnel(
  socket: Socket,
  proxy: Proxy,
  { hostname, port, timeoutMs }: { hostname: string; port: string; timeoutMs: number },
  done: (error: Error | null) => void,
): void {
  const authority = `${isIPv6(hostname) ? `[${hostname}]` : hostname}:${port}`;
  let head = Buffer.alloc(0);
  const finish = (error: Error | null): void => {
    clearTimeout(timer);
    socket.off('data', read).off('error', failed).off('close', closed).pause();
    done(error);
  };
  const failed = (error: NodeJS.ErrnoException): void =>
    finish(proxyFailure(proxy, error.message, error.code));
  const closed = (): void =>
    finish(proxyFailure(proxy, `ended the connection before CONNECT ${authority} was answered`));
  const read = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(headEnd);
    if (end === -1 && head.length <= headBytes) return;
    finish(end === -1 ? proxyFailure(proxy, 'answered no HTTP') : refusal(proxy, authority, head, end));
  };
  const timer = setTimeout(
    () =>
      finish(proxyFailure(proxy, `no answer to CONNECT ${authority} within ${timeoutMs} ms`, 'ETIMEDOUT')),
    timeoutMs,
  );
  timer.unref();
  socket.on('data', read).on('error', failed).on('close', closed);
  const login = proxy.authorization === null ? '' : `Proxy-Authorization: ${proxy.authorization}\r\n`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${login}\r\n`);
}

function refusal(proxy: Proxy, authority: string, head: Buffer, end: number): Error | null {
  const [line = ''] = head.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(line)?.[1] ?? NaN);
  if (Number.isNaN(status)) return proxyFailure(proxy, `answered CONNECT ${authority} with no HTTP`);
  if (status < 200 || status > 299)
    return proxyFailure(
      proxy,
      `answered CONNECT ${authority} with ${status} ${STATUS_CODES[status] ?? ''}`.trim(),
    );
  // Behind a tunnel it is we who speak first.
  return head.length > end + headEnd.length
    ? proxyFailure(proxy, `sent bytes of its own after CONNECT ${authority}`)
    : null;
}
