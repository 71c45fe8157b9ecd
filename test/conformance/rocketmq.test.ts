/** type: rocketmq, by the suite, against a real broker with its proxy: a normal topic, and a FIFO topic. */
import { rocketmq } from '../../src/destination/rocketmq/index.ts';
import type { Harness, HarnessServer, Topic } from '../../src/testing/conformance/index.ts';
import { requireJars } from '../support/brokers/jars.ts';
import { launchRocketmq } from '../support/brokers/rocketmq.ts';
import { uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

const startWith = (fifo: boolean) => async (): Promise<HarnessServer> => {
  const server = await launchRocketmq();
  const keys = fifo ? { group: '{key}' } : {};
  const topicOf = async (kind: 'NORMAL' | 'FIFO' | 'DELAY'): Promise<Topic> => {
    const topic = uniqueName('topic');
    await server.createTopic(topic, kind);
    return {
      settings: (endpoints) => ({ endpoints, topic, ...keys }),
      read: async () =>
        (await server.read(topic)).map(({ body, properties }) => ({
          id: properties['webhook-id'] ?? '',
          body,
          key: properties['outbox-key'] ?? null,
          headers: properties,
        })),
    };
  };
  const topic = () => topicOf(fifo ? 'FIFO' : 'NORMAL');
  return {
    address: server.endpoints,
    stop: server.stop,
    kill: server.kill9,
    restart: server.start,
    // The proxy tells clients its own address, past any wire.
    outage: async () => {
      await server.kill9();
      return server.start;
    },
    topic,
    topics: async (count) => {
      const names = Array.from({ length: 3 }, () => uniqueName('topic'));
      await Promise.all(names.map((name) => server.createTopic(name, fifo ? 'FIFO' : 'NORMAL')));
      return Array.from({ length: count }, (_, index) => ({
        settings: (endpoints: string) => ({ endpoints, topic: names[index % names.length]!, ...keys }),
      }));
    },
    refused: async () => ({
      ...(await topic()),
      message: { headers: { DELAY: 'a name of the broker’s own' } },
      errorClass: 'invalid-message',
      says: /property is used by system/,
    }),
    unroutable: async () => ({
      settings: (endpoints) => ({ endpoints, topic: `${uniqueName('nobody')}-{key}`, ...keys }),
      message: { key: 'a' },
      says: /No topic route info/,
    }),
    tooLarge: async () => ({
      ...(await topic()),
      message: { payload: `"${'x'.repeat(4 * 1024 * 1024)}"` },
      says: /maxMessageSize\) allows \(4194304 bytes\)/,
    }),
    missingTopic: async () => {
      const name = uniqueName('nowhere');
      return {
        settings: (endpoints) => ({ endpoints, topic: name, ...keys }),
        says: /No topic route info/,
        isThere: async () => (await server.topics()).includes(name),
      };
    },
    wrongTopic: async () => ({
      ...(await topicOf(fifo ? 'NORMAL' : 'FIFO')),
      says: fifo ? /take group out/ : /give it group/,
    }),
  };
};

const pastTheWire = 'the proxy tells clients its own address, past the wire of the suite';

const cannot: Harness['cannot'] = {
  slow: pastTheWire,
  'cut-before-the-confirm': pastTheWire,
  'cut-after-the-confirm': pastTheWire,
  'empty-payload': 'the broker takes no empty body; it is refused before it is sent',
  blocked: 'a broker is busy for moments only, and not on request',
  'beyond-the-window': 'the broker has no window: every repeat is stored, under the same id',
  'wrong-credentials':
    'access control needs a cluster with a user store; the login is sent as the client signs it',
  tls: 'the client trusts the authorities of the process (GRPC_DEFAULT_SSL_ROOTS_FILE_PATH) and takes no other',
  'mutual-tls': 'the client shows no certificate',
};

const options = { requires: () => requireJars('rocketmq'), short: [] };

conform(
  {
    type: rocketmq,
    name: 'rocketmq, normal topics',
    start: startWith(false),
    cannot,
    patienceMs: 60_000,
  },
  options,
);
conform(
  { type: rocketmq, name: 'rocketmq, FIFO topics', start: startWith(true), cannot, patienceMs: 60_000 },
  {
    ...options,
    rows: ['acknowledged', 'wrong-topic', 'killed-after-acknowledging', 'order', 'hot-key', 'circuit'],
  },
);
