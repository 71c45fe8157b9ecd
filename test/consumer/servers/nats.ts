/** JetStream before the suite of consumers, and before volumes. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { headers as natsHeaders, type NatsConnection } from '@nats-io/transport-node';
import type { ConsumerServer } from '../../../src/testing/consumers/index.ts';
import { addStream, connectTo, launchNats } from '../../support/brokers/nats.ts';
import { uniqueName } from '../../support/index.ts';

export async function startNats(): Promise<ConsumerServer> {
  const server = await launchNats();
  const connected = async <T>(work: (connection: NatsConnection) => Promise<T>): Promise<T> => {
    const connection = await connectTo(server);
    try {
      return await work(connection);
    } finally {
      await connection.close();
    }
  };
  return {
    kill: server.kill9,
    restart: server.start,
    stop: server.stop,
    queue: async () => {
      const stream = uniqueName('S').replaceAll(/[^A-Za-z0-9]/g, '');
      await addStream(server, { name: stream, subjects: [`${stream}.>`] });
      return {
        from: { type: 'nats', servers: [server.url], stream, durable: 'test', ackWait: '3s' },
        put: (messages) =>
          connected(async (connection) => {
            const js = jetstream(connection);
            for (const { headers, contentType, body } of messages) {
              const given = natsHeaders();
              for (const [name, value] of Object.entries({ ...headers, 'content-type': contentType }))
                given.set(name, value);
              await js.publish(`${stream}.x`, body, { headers: given });
            }
          }),
        left: () =>
          connected(async (connection) => {
            const { consumers } = await jetstreamManager(connection);
            const { num_pending, num_ack_pending } = await consumers.info(stream, 'test');
            return num_pending + num_ack_pending;
          }),
      };
    },
  };
}
