/** Consuming from RocketMQ, by the suite, against a real broker with its proxy. */
import { Producer } from 'rocketmq-client-nodejs';
import { end, guardStreams, silent } from '../../src/destination/rocketmq/streams.ts';
import type { ConsumerServer, PutMessage } from '../../src/testing/consumers/index.ts';
import { requireJars } from '../support/brokers/jars.ts';
import { launchRocketmq } from '../support/brokers/rocketmq.ts';
import { eventually, uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

/** Shorter than a proxy as it comes allows: redelivery is what most rows wait for. */
const proxySettings = {
  minInvisibleTimeMillsForRecv: 1_000,
  grpcClientConsumerMinLongPollingTimeoutMillis: 500,
};

async function start(): Promise<ConsumerServer> {
  const { endpoints, admin, kill9, start: restart, stop } = await launchRocketmq(proxySettings);
  return {
    kill: kill9,
    restart,
    stop,
    queue: async ({ ordered }) => {
      const [topic, group] = [uniqueName('topic'), uniqueName('group')];
      await admin.createTopic(topic, ordered ? 'FIFO' : 'NORMAL');
      await admin.createGroup(group, { ordered });
      return {
        from: { type: 'rocketmq', endpoints, topic, group, invisibleTime: '5s', waitTime: '1s' },
        // The proxy hears of a topic after a moment; ids make a repeat one.
        put: (messages) =>
          eventually(() => send(endpoints, topic, messages, ordered), { timeout: 60_000, interval: 500 }),
        left: () => admin.left(group, topic),
      };
    },
  };
}

async function send(
  endpoints: string,
  topic: string,
  messages: readonly PutMessage[],
  ordered: boolean,
): Promise<void> {
  const producer = new Producer({ endpoints, namespace: '', maxAttempts: 1, logger: silent });
  guardStreams(producer);
  try {
    await producer.startup();
    for (const { headers, key, contentType, body } of messages)
      await producer.send({
        topic,
        body: Buffer.from(body),
        properties: new Map(Object.entries({ ...headers, 'content-type': contentType })),
        ...(ordered ? { messageGroup: key ?? 'none' } : {}),
      });
  } finally {
    await end(producer);
  }
}

conform(
  {
    name: 'rocketmq',
    start,
    cannot: { 'no-id': 'every message has an id of the client that sent it' },
  },
  { requires: () => requireJars('rocketmq'), short: [] },
);
