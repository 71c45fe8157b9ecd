/** The connection to a server, for those who send to it and those who take from it. */
import type * as Ioredis from 'ioredis';
import type { Redis } from 'ioredis';
import type { SecretSource } from '../../core/secrets.ts';
import { loadClient } from '../shared/clients.ts';
import { OnDemand } from '../shared/onDemand.ts';
import { secretsOf, shownAddress } from '../shared/plainAddress.ts';
import { readTls, type TlsSettings } from '../shared/tlsOptions.ts';
import { ioredis } from './client.ts';

export interface Server {
  readonly url: URL;
  /** For messages: without user and password. */
  readonly label: string;
  readonly tls: Readonly<Record<string, unknown>> | undefined;
  readonly secrets: readonly string[];
  /** The same for all destinations of one server, database and login. Stays in memory. */
  readonly key: string;
}

export function serverOf(url: URL, tls: TlsSettings | null, source: SecretSource): Server {
  const options = readTls(tls, source, url.protocol === 'rediss:');
  return {
    url,
    label: shownAddress(url),
    tls: options,
    secrets: secretsOf(url),
    key: `redis ${url.href} ${JSON.stringify(options ?? null)}`,
  };
}

const connectTimeoutMs = 10_000;
/** A server that says nothing for so long while commands wait is given up. */
const silenceMsMax = 15_000;

/**
 * One connection, made when it is first needed and again after it broke. The client's own reconnecting is off: it would send again what
 * was under way, behind what was sent meanwhile.
 */
export class RedisLink {
  readonly #server: Server;
  readonly #open = new OnDemand(() => this.#connect());

  constructor(server: Server) {
    this.#server = server;
  }

  connected(): Promise<Redis> {
    return this.#open.get();
  }

  close(): Promise<void> {
    return this.#open.close((redis) => redis.disconnect());
  }

  async #connect(): Promise<Redis> {
    const client = await loadClient<typeof Ioredis>(ioredis, 'redis');
    const { url, tls } = this.#server;
    const redis = new client.Redis({
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? 6379 : Number(url.port),
      ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
      db: Number(/^\/(\d+)$/.exec(url.pathname)?.[1] ?? 0),
      connectionName: 'temporal-outbox',
      lazyConnect: true,
      connectTimeout: connectTimeoutMs,
      socketTimeout: silenceMsMax,
      retryStrategy: null,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      ...(tls === undefined ? {} : { tls }),
    });
    // Each command is told of it; without a listener the client would print it.
    let reason: unknown;
    redis.on('error', (error: unknown) => (reason = error));
    redis.on('end', () => this.#open.forget());
    try {
      await redis.connect();
    } catch (error) {
      redis.disconnect();
      throw reason ?? error;
    }
    return redis;
  }
}
