/** RocketMQ with its proxy, before the suite of consumers, and before volumes. */
import { Producer } from 'rocketmq-client-nodejs';
import { end, guardStreams, silent } from '../../../src/destination/rocketmq/streams.ts';
import type { ConsumerServer, PutMessage } from '../../../src/testing/consumers/index.ts';
import { launchRocketmq } from '../../support/brokers/rocketmq.ts';
import { eventually, uniqueName } from '../../support/index.ts';

/** Shorter than a proxy as it comes allows: redelivery is what most rows wait for. */
const proxySettings = {
  minInvisibleTimeMillsForRecv: 1_000,
  grpcClientConsumerMinLongPollingTimeoutMillis: 500,
};

export async function startRocketmq(): Promise<ConsumerServer> {
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
    const put = ({ headers, key, contentType, body }: PutMessage) =>
      producer.send({
        topic,
        body: Buffer.from(body),
        properties: new Map(Object.entries({ ...headers, 'content-type': contentType })),
        ...(ordered ? { messageGroup: key ?? 'none' } : {}),
      });
    // Where order is asked for one after another.
    const atOnce = ordered ? 1 : 50;
    for (let from = 0; from < messages.length; from += atOnce)
      await Promise.all(messages.slice(from, from + atOnce).map(put));
  } finally {
    await end(producer);
  }
}
