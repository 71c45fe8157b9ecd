/** Kafka before the suite of consumers, and before volumes. */
import { Consumer, Producer } from '@platformatic/kafka';
import type { ConsumerServer } from '../../../src/testing/consumers/index.ts';
import { createTopic, launchKafka, written } from '../../support/brokers/kafka.ts';
import { eventually, uniqueName } from '../../support/index.ts';

export async function startKafka(): Promise<ConsumerServer> {
  const server = await launchKafka();
  const options = { clientId: 'test', bootstrapBrokers: [server.plain], retries: 5 };
  return {
    kill: server.kill9,
    restart: server.start,
    stop: server.stop,
    queue: async () => {
      const topic = uniqueName('topic');
      const group = uniqueName('group');
      await createTopic(server, topic, { partitions: 3 });
      return {
        from: { type: 'kafka', brokers: [server.plain], topic, group, sessionTimeout: '3s' },
        // A broker that has just come back refuses for a moment; ids make a repeat one.
        put: (messages) =>
          eventually(async () => {
            const producer = new Producer(options);
            try {
              await producer.send({
                acks: -1,
                messages: messages.map(({ headers, key, contentType, body }) => ({
                  topic,
                  ...(key === null ? {} : { key: Buffer.from(key) }),
                  value: Buffer.from(body),
                  headers: new Map(
                    Object.entries({ ...headers, 'content-type': contentType }).map(([name, text]) => [
                      Buffer.from(name),
                      Buffer.from(text),
                    ]),
                  ),
                })),
              });
            } finally {
              await producer.close();
            }
          }),
        left: async () => {
          const consumer = new Consumer({ ...options, groupId: group });
          try {
            const partitions = [0, 1, 2];
            const stands = await consumer.listCommittedOffsets({ topics: [{ topic, partitions }] });
            const done = partitions.map((each) => Number(stands.get(topic)?.[each] ?? 0n));
            return (
              (await written(server.plain, topic)) - done.reduce((sum, each) => sum + Math.max(0, each), 0)
            );
          } finally {
            await Promise.resolve(consumer.close(true));
          }
        },
      };
    },
  };
}
