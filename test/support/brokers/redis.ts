/** A real Redis, of the machine's own packages, that writes an append-only file. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../../src/embedded/ports.ts';
import { brokerDirectory, launchBroker, type BrokerProcess } from './process.ts';

export interface TestRedis extends BrokerProcess {
  readonly port: number;
  /** 0 without TLS. */
  readonly tlsPort: number;
  readonly client: <Result>(work: (redis: Redis) => Promise<Result>) => Promise<Result>;
  /** All that a stream holds, in its order. */
  readonly read: (stream: string) => Promise<readonly ReadonlyMap<string, Buffer>[]>;
}

export interface RedisOptions {
  readonly args?: readonly string[];
  readonly password?: string;
  readonly tls?: { readonly key: string; readonly cert: string; readonly clientCa: string };
}

/** The caller stops it. */
export async function launchRedis({ args = [], password, tls }: RedisOptions = {}): Promise<TestRedis> {
  const directory = await brokerDirectory('redis');
  const port = await freePort();
  const tlsPort = tls === undefined ? 0 : await freePort();
  const client = async <Result>(work: (redis: Redis) => Promise<Result>): Promise<Result> => {
    const redis = new Redis({
      ...{ host: '127.0.0.1', port, lazyConnect: true, retryStrategy: null, maxRetriesPerRequest: 0 },
      ...(password === undefined ? {} : { password }),
    });
    redis.on('error', () => undefined);
    try {
      await redis.connect();
      return await work(redis);
    } finally {
      redis.disconnect();
    }
  };
  const running = await launchBroker({
    directory,
    port,
    command: redisProgram()!,
    args: [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--appendonly', 'yes'],
      ...['--save', '', ...(password === undefined ? [] : ['--requirepass', password])],
      ...(tls === undefined ? [] : await tlsArgs(directory, tlsPort, tls)),
      ...args,
    ],
    ready: () => client((redis) => redis.ping()),
  });
  const read: TestRedis['read'] = async (stream) =>
    client(async (redis) =>
      (await redis.xrangeBuffer(stream, '-', '+')).map(([, fields]) => entryOf(fields)),
    );
  return { port, tlsPort, client, read, ...running };
}

export function redisProgram(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, 'redis-server')).find((path) => existsSync(path));
}

async function tlsArgs(
  directory: string,
  port: number,
  { key, cert, clientCa }: NonNullable<RedisOptions['tls']>,
): Promise<string[]> {
  const files = { key, cert, ca: clientCa };
  for (const [name, pem] of Object.entries(files)) await writeFile(join(directory, name), pem);
  return [
    ...['--tls-port', String(port), '--tls-auth-clients', 'yes'],
    ...['--tls-key-file', join(directory, 'key'), '--tls-cert-file', join(directory, 'cert')],
    ...['--tls-ca-cert-file', join(directory, 'ca')],
  ];
}

function entryOf(fields: readonly Buffer[]): Map<string, Buffer> {
  const entry = new Map<string, Buffer>();
  for (let at = 0; at < fields.length; at += 2) entry.set(fields[at]!.toString(), fields[at + 1]!);
  return entry;
}
