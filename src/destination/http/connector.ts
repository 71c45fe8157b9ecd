/** Opens connections, only to addresses the network policy allows. */
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { classifyAddress, classifyHost, type AddressClass } from '../../core/address.ts';
import { OutboxError } from '../../errors.ts';
import { skipInterimAnswers } from './answerStart.ts';
import { blockedAddressCode } from './classify.ts';
import { names } from './names.ts';
import type { Proxy } from './proxy/address.ts';
import { openTunnel, proxyFailure } from './proxy/tunnel.ts';
import type { ReadTls, TlsFiles } from './tlsFiles.ts';

export interface ConnectorOptions {
  readonly allowPrivate: boolean;
  /** Time for one connection, name look-up and TLS included. */
  readonly timeoutMs: number;
  /** In place of the system's resolver, for tests. */
  readonly resolve?: Resolve;
  /** Null or absent: the authorities of Node, and no certificate of ours. */
  readonly tls?: TlsFiles | null;
  /** Null or absent: straight to the target. */
  readonly proxy?: Proxy | null;
}

export type Resolve = (
  hostname: string,
  done: (error: Error | null, addresses: LookupAddress[]) => void,
) => void;

/** A connection is renewed after so long, between two requests: a name that moved is followed under constant load too. */
export const connectionAgeMs = 60_000;
/** A name is asked for once per so long: many connections open together, and none lives on a stale answer. */
const lookupLifetimeMs = 1_000;
/** Time for the first address family before the other is tried beside it. Node's 250 ms is short across oceans. */
const familyAttemptTimeoutMs = 1_000;

/**
 * A connector for undici. The name is resolved once, every address is checked, and the connection goes to one of
 * those checked: there is no second look-up to rebind. `net.connect` asks no look-up for literal addresses, so those
 * are checked here first. Through a proxy it is the proxy that resolves the name: what is written is checked, and the proxy's own
 * addresses are.
 */
export function guardedConnector(options: ConnectorOptions): buildConnector.connector {
  const { proxy = null } = options;
  const straight = renewed(options);
  const connect = proxy === null ? straight : throughProxy(proxy, options, straight);
  return (target, callback) => {
    const refusal = blockedBeforeLookup(target.hostname, options.allowPrivate);
    // Later, since undici does not expect an answer before its call has returned.
    if (refusal !== null) return queueMicrotask(() => callback(refusal, null));
    connect(target, (...[error, socket]) => {
      if (error !== null) callback(error, null);
      else callback(null, skipInterimAnswers(socket));
    });
  };
}

/** Straight to the target, with the certificates that there are now. Sessions of TLS are not resumed under another certificate. */
function renewed(options: ConnectorOptions): buildConnector.connector {
  const { timeoutMs: timeout, tls = null } = options;
  const lookup = guardedLookup(options);
  const make = (read: ReadTls | null): buildConnector.connector =>
    buildConnector({
      timeout,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: familyAttemptTimeoutMs,
      lookup,
      ...read,
    });
  let read = tls?.current() ?? null;
  let connect = make(read);
  return (target, callback) => {
    const now = tls?.current() ?? null;
    if (now !== read) [read, connect] = [now, make(now)];
    connect(target, callback);
  };
}

/** To an https target by CONNECT; requests to an http target go to the proxy itself, which undici is told by their target. */
function throughProxy(
  proxy: Proxy,
  { timeoutMs, resolve }: ConnectorOptions,
  straight: buildConnector.connector,
): buildConnector.connector {
  const { protocol, hostname, port } = proxy.url;
  // Where a proxy stands says nothing of where it leads.
  const toProxy = guardedConnector({
    allowPrivate: true,
    timeoutMs,
    ...(resolve === undefined ? {} : { resolve }),
  });
  const place = { protocol, hostname: hostname.replace(/^\[|\]$/g, ''), port };
  return (target, callback) => {
    toProxy(place, (...[error, socket]) => {
      if (error !== null) {
        const { code } = error as NodeJS.ErrnoException;
        return callback(proxyFailure(proxy, error.message, code), null);
      }
      if (target.protocol !== 'https:') return callback(null, socket);
      const { hostname: host, port: written } = target;
      openTunnel(socket, proxy, { hostname: host, port: written || '443', timeoutMs }, (refusal) => {
        if (refusal === null) return straight({ ...target, httpSocket: socket }, callback);
        socket.destroy();
        callback(refusal, null);
      });
    });
  };
}

/** By name or literal alone. Literals that undici hands over have lost their brackets. */
function blockedBeforeLookup(hostname: string, allowPrivate: boolean): Error | null {
  const kind = classifyHost(hostname);
  return kind === null ? null : blocked(hostname, kind, allowPrivate);
}

const resolveBySystem: Resolve = (hostname, done) => names.find(hostname, done);

function guardedLookup(options: ConnectorOptions): LookupFunction {
  const resolve = shared(options.resolve ?? resolveBySystem);
  return (hostname, lookupOptions, callback) => {
    resolve(hostname, (error, addresses) => {
      const problem = error ?? blockedAmong(hostname, addresses, options.allowPrivate);
      if (problem !== null) return callback(problem, []);
      if (lookupOptions.all === true) return callback(null, addresses);
      callback(null, addresses[0]!.address, addresses[0]!.family);
    });
  };
}

/** One bad address among good ones refuses them all: which one a connection takes is not ours to choose. */
function blockedAmong(
  hostname: string,
  addresses: readonly LookupAddress[],
  allowPrivate: boolean,
): Error | null {
  for (const { address } of addresses) {
    const error = blocked(`${hostname} (${address})`, classifyAddress(address) ?? 'forbidden', allowPrivate);
    if (error !== null) return error;
  }
  return null;
}

function blocked(what: string, kind: AddressClass, allowPrivate: boolean): Error | null {
  if (kind === 'public' || (kind === 'private' && allowPrivate)) return null;
  const reason =
    kind === 'private'
      ? 'is a private address, and network.allowPrivate is false'
      : 'is link-local, cloud metadata, unspecified, multicast or broadcast, where no destination may be';
  return new OutboxError(blockedAddressCode, `${what} ${reason}`);
}

/**
 * Connections that open together share one look-up, and those that follow within its lifetime its answer. A sender
 * has one host, so one answer is all there is to keep.
 */
function shared(resolve: Resolve): Resolve {
  let answer: { addresses: LookupAddress[]; untilMs: number } | null = null;
  let waiting: Parameters<Resolve>[1][] = [];
  return (hostname, done) => {
    if (answer !== null && performance.now() < answer.untilMs) {
      const { addresses } = answer;
      // Not at once: a socket expects its look-up to take a turn.
      return queueMicrotask(() => done(null, addresses));
    }
    waiting.push(done);
    if (waiting.length > 1) return;
    resolve(hostname, (error, addresses) => {
      answer = error === null ? { addresses, untilMs: performance.now() + lookupLifetimeMs } : null;
      const callbacks = waiting;
      waiting = [];
      for (const callback of callbacks) callback(error, addresses);
    });
  };
}
