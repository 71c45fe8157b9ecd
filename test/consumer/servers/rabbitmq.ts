/** RabbitMQ before the suite of consumers, and before volumes. */
import { connect, type ConfirmChannel } from 'amqplib';
import type { ConsumerServer } from '../../../src/testing/consumers/index.ts';
import { launchRabbitmq } from '../../support/brokers/rabbitmq.ts';
import { eventually, uniqueName } from '../../support/index.ts';

export async function startRabbitmq(): Promise<ConsumerServer> {
  const server = await launchRabbitmq();
  const withChannel = async <T>(work: (channel: ConfirmChannel) => Promise<T>): Promise<T> => {
    const connection = await connect(server.url);
    connection.on('error', () => undefined);
    try {
      return await work(await connection.createConfirmChannel());
    } finally {
      await connection.close().catch(() => undefined);
    }
  };
  return {
    kill: server.kill9,
    restart: server.start,
    stop: server.stop,
    queue: async ({ ordered }) => {
      const queue = uniqueName('queue');
      // After kill -9 Debian's 3.10 leaves a quorum queue without a leader now and then, whoever consumes from it.
      const type = ordered ? 'quorum' : 'classic';
      await withChannel((channel) =>
        channel.assertQueue(queue, {
          durable: true,
          arguments: ordered
            ? { 'x-queue-type': type, 'x-single-active-consumer': true }
            : { 'x-queue-type': type },
        }),
      );
      await server.syncDefinitions();
      return {
        from: { type: 'rabbitmq', url: server.url, queue, declare: type },
        // A queue that has just come back refuses for a moment; ids make a repeat one.
        put: (messages) =>
          eventually(() =>
            withChannel(async (channel) => {
              for (const { headers, contentType, body } of messages)
                channel.publish('', queue, Buffer.from(body), {
                  headers,
                  contentType,
                  deliveryMode: 2,
                  mandatory: true,
                });
              await channel.waitForConfirms();
            }),
          ),
        // Messages that wait in delay queues too.
        left: async () => {
          const listed = await server.control(
            'list_queues',
            '--quiet',
            '--no-table-headers',
            'name',
            'messages',
          );
          return listed
            .split('\n')
            .map((line) => line.split('\t'))
            .filter(([name]) => name === queue || name?.startsWith(`${queue}.again.`) === true)
            .reduce((sum, [, count]) => sum + Number(count), 0);
        },
      };
    },
  };
}
