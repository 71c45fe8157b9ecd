/** type: kafka, by the suite, against a real broker. */
import { kafka } from '../../src/destination/kafka/index.ts';
import type { HarnessServer, Topic } from '../../src/testing/conformance/index.ts';
import { requireJars } from '../support/brokers/jars.ts';
import { createTopic, launchKafka, readTopic, topicIsThere } from '../support/brokers/kafka.ts';
import { uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

async function start(proxy: string): Promise<HarnessServer> {
  const server = await launchKafka(proxy);
  const { theirs, ours, ourKey } = server.certificates;
  const topic = async (configs: Readonly<Record<string, unknown>> = {}): Promise<Topic> => {
    const name = uniqueName('topic');
    await createTopic(server, name, { 'max.message.bytes': 2 * 1024 * 1024, ...configs });
    return {
      settings: (address) => ({ brokers: [address], topic: name }),
      read: async () =>
        (await readTopic(server, name)).map(({ key, bytes, headers }) => ({
          id: headers['webhook-id'] ?? '',
          body: bytes ?? '',
          key,
          headers,
        })),
    };
  };
  const trust = async (withOurs: boolean) => {
    const { settings, read } = await topic();
    const by = (tls: object) => ({
      settings: (address: string) => ({ ...settings(address), tls }),
      env: () => ({ KAFKA_CA: theirs, KAFKA_CERT: ours, KAFKA_KEY: ourKey }),
    });
    const pair = { cert: 'env:KAFKA_CERT', key: 'env:KAFKA_KEY' };
    return {
      address: server.tls,
      topic: { ...by({ ca: 'env:KAFKA_CA', ...pair }), read },
      stranger: withOurs ? { ...by(pair), errorClass: 'tls-certificate' } : by({ ca: 'env:KAFKA_CA' }),
    };
  };
  return {
    address: server.plain,
    behindProxy: server.wire,
    stop: server.stop,
    kill: server.kill9,
    restart: server.start,
    topic: () => topic(),
    refused: async () => ({
      ...(await topic({ 'cleanup.policy': 'compact' })),
      message: { key: null },
      errorClass: 'rejected',
      says: /compacted, and the event has no key/,
    }),
    unroutable: async () => ({
      settings: (address) => ({ brokers: [address], topic: `${uniqueName('nobody')}.{type}` }),
      says: /there is no such topic/,
    }),
    tooLarge: async () => ({
      ...(await topic({ 'max.message.bytes': 100_000 })),
      message: { payload: `"${'x'.repeat(100_000)}"` },
      says: /allows \(100000 bytes\)/,
    }),
    missingTopic: async () => {
      const name = uniqueName('nowhere');
      return {
        settings: (address) => ({ brokers: [address], topic: name }),
        says: /there is no such topic/,
        isThere: () => topicIsThere(server, name),
      };
    },
    wrongCredentials: async () => ({
      settings: () => ({
        brokers: [server.sasl],
        topic: 'any',
        sasl: { mechanism: 'PLAIN', username: 'outbox', password: 'env:KAFKA_PASS' },
      }),
      env: () => ({ KAFKA_PASS: 'wrong-pass' }),
      secret: 'wrong-pass',
    }),
    tls: () => trust(true),
    mutualTls: () => trust(false),
  };
}

conform(
  {
    type: kafka,
    start,
    patienceMs: 60_000,
    // A second one asks for the limits of topics, and is closed again.
    connections: 2,
    cannot: {
      'wrong-topic': 'topics are of one kind',
      blocked: 'brokers slow clients down rather than refuse',
      'beyond-the-window': 'the broker has no window: every repeat is stored, under the same id',
    },
  },
  {
    requires: () => requireJars('kafka'),
    short: [],
  },
);
