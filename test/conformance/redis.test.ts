/** type: redis, by the suite, against a real server. */
import { redis } from '../../src/destination/redis/index.ts';
import type { HarnessServer, Received, Topic } from '../../src/testing/conformance/index.ts';
import { launchRedis, type TestRedis } from '../support/brokers/redis.ts';
import { authority } from '../support/certificate.ts';
import { requires, uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

async function start(): Promise<HarnessServer> {
  const [trusted, unknown] = [authority(), authority()];
  const [ours, theirs] = [trusted.issue(), trusted.issue()];
  const server = await launchRedis({ tls: { ...theirs, clientCa: trusted.cert } });
  const guarded = await launchRedis({ password: 'right-pass' });

  const readOf = (at: TestRedis, stream: string) => async (): Promise<Received[]> =>
    (await at.read(stream)).map((entry) => {
      const headers = Object.fromEntries([...entry].map(([name, value]) => [name, value.toString()]));
      return {
        id: headers['webhook-id'] ?? '',
        body: entry.get('payload') ?? '',
        key: headers['outbox-key'] ?? null,
        headers,
      };
    });
  /** There, and empty. */
  const newStream = async (): Promise<string> => {
    const stream = uniqueName('stream');
    await server.client((client) => client.xgroup('CREATE', stream, 'test', '$', 'MKSTREAM'));
    return stream;
  };
  const topic = async (): Promise<Topic> => {
    const stream = await newStream();
    return { settings: (address) => ({ url: `redis://${address}`, stream }), read: readOf(server, stream) };
  };
  const trust = async (withOurs: boolean) => {
    const stream = await newStream();
    const by = (tls: object, ca: string) => ({
      settings: (address: string) => ({ url: `rediss://${address}`, stream, tls }),
      env: () => ({ REDIS_CA: ca, REDIS_CERT: ours.cert, REDIS_KEY: ours.key }),
    });
    const all = { ca: 'env:REDIS_CA', cert: 'env:REDIS_CERT', key: 'env:REDIS_KEY' };
    return {
      address: `127.0.0.1:${server.tlsPort}`,
      topic: { ...by(all, trusted.cert), read: readOf(server, stream) },
      stranger: withOurs
        ? { ...by(all, unknown.cert), errorClass: 'tls-certificate' }
        : by({ ca: 'env:REDIS_CA' }, trusted.cert),
    };
  };
  return {
    address: `127.0.0.1:${server.port}`,
    stop: async () => {
      await Promise.all([server.stop(), guarded.stop()]);
    },
    kill: server.kill9,
    restart: server.start,
    topic,
    block: async () => {
      await server.client((client) => client.config('SET', 'maxmemory', '1mb'));
      return async () => void (await server.client((client) => client.config('SET', 'maxmemory', '0')));
    },
    refused: async () => {
      const stream = uniqueName('');
      return {
        settings: (address) => ({ url: `redis://${address}`, stream: `{header:${stream}}`, declare: true }),
        errorClass: 'invalid-message',
        says: /the event has no header/,
      };
    },
    unroutable: async () => ({
      settings: (address) => ({ url: `redis://${address}`, stream: `${uniqueName('nobody')}.{type}` }),
      says: /there is no such stream/,
    }),
    missingTopic: async () => {
      const stream = uniqueName('nowhere');
      return {
        settings: (address) => ({ url: `redis://${address}`, stream }),
        says: /there is no such stream/,
        isThere: async () => (await server.client((client) => client.exists(stream))) > 0,
      };
    },
    wrongTopic: async () => {
      const stream = uniqueName('list');
      await server.client((client) => client.rpush(stream, 'a'));
      return {
        settings: (address) => ({ url: `redis://${address}`, stream }),
        says: /is there and is no stream/,
      };
    },
    tls: () => trust(true),
    mutualTls: () => trust(false),
    wrongCredentials: async () => ({
      settings: () => ({ url: 'env:REDIS_URL', stream: 'any' }),
      env: () => ({ REDIS_URL: `redis://:wrong-pass@127.0.0.1:${guarded.port}` }),
      secret: 'wrong-pass',
    }),
  };
}

conform(
  {
    type: redis,
    start,
    cannot: {
      'too-large': 'the server takes 512 MiB, more than a test writes',
      'beyond-the-window': 'the server has no window: every repeat is stored, under the same id',
    },
  },
  {
    requires: () => requires.program('redis-server'),
    short: [],
  },
);
