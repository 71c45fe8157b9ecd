/** type: rabbitmq, by the suite, against a real server. */
import { connect, type Channel } from 'amqplib';
import { rabbitmq } from '../../src/destination/rabbitmq/index.ts';
import type { HarnessServer, Received, Topic } from '../../src/testing/conformance/index.ts';
import { launchRabbitmq } from '../support/brokers/rabbitmq.ts';
import { authority } from '../support/certificate.ts';
import { requires, uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

const largest = 2 * 1024 * 1024;

async function start(): Promise<HarnessServer> {
  const [trusted, unknown] = [authority(), authority()];
  const [ours, theirs] = [trusted.issue(), trusted.issue()];
  const server = await launchRabbitmq({
    settings: [`max_message_size = ${largest}`],
    tls: { ...theirs, clientCa: trusted.cert },
  });
  const withChannel = async <T>(work: (channel: Channel) => Promise<T>): Promise<T> => {
    const connection = await connect(server.url);
    connection.on('error', () => undefined);
    try {
      const channel = await connection.createChannel();
      channel.on('error', () => undefined);
      return await work(channel);
    } finally {
      await connection.close().catch(() => undefined);
    }
  };
  const tlsAddress = `127.0.0.1:${server.tlsPort}`;
  const trusting = (keys: object, { ca = trusted.cert, cert = ours.cert, key = ours.key }) => ({
    settings: (address: string) => ({ ...keys, url: `amqps://guest:guest@${address}` }),
    env: () => ({ RABBIT_CA: ca, RABBIT_CERT: cert, RABBIT_KEY: key }),
  });
  const [itsAuthority, certificate] = [
    { ca: 'env:RABBIT_CA' },
    { cert: 'env:RABBIT_CERT', key: 'env:RABBIT_KEY' },
  ];
  const settings =
    (more: object, login = 'guest:guest') =>
    (address: string) => ({ url: `amqp://${login}@${address}`, ...more });

  const declare = (names: readonly string[]): Promise<void> =>
    withChannel(async (channel) => {
      for (const name of names) await channel.assertQueue(name, { durable: true });
    });
  const declared = Array.from({ length: 40 }, () => uniqueName('queue'));
  await declare(declared);
  await server.syncDefinitions();
  const topic = async (): Promise<Topic & { readonly queue: string }> => {
    let queue = declared.pop();
    if (queue === undefined) await declare([(queue = uniqueName('queue'))]);
    const received: Received[] = [];
    return {
      queue,
      settings: settings({ exchange: '', routingKey: queue }),
      read: async () => {
        received.push(...(await withChannel((channel) => drain(channel, queue))));
        return received;
      },
    };
  };
  return {
    address: `127.0.0.1:${server.port}`,
    stop: server.stop,
    kill: server.kill9,
    restart: server.start,
    topic,
    // Memory that it may use: so little that it takes messages from nobody.
    block: async () => {
      await server.control('set_vm_memory_high_watermark', '0.00001');
      return async () => void (await server.control('set_vm_memory_high_watermark', '0.6'));
    },
    refused: async () => ({
      ...(await topic()),
      message: { headers: { ['n'.repeat(300)]: 'a name that the protocol cannot carry' } },
      errorClass: 'invalid-message',
    }),
    unroutable: async () => ({
      settings: settings({ exchange: 'amq.topic' }),
      says: /exchange amq\.topic: NO_ROUTE \(routing key order\.created\)/,
    }),
    // The server closes the channel for it, with all that is under way there.
    tooLarge: async () => ({
      ...(await topic()),
      message: { payload: `"${'x'.repeat(largest)}"` },
      says: new RegExp(String(largest)),
    }),
    missingTopic: async () => {
      const exchange = uniqueName('nowhere');
      return {
        settings: settings({ exchange }),
        says: new RegExp(`no exchange '${exchange}'`),
        isThere: () =>
          withChannel((channel) => channel.checkExchange(exchange)).then(
            () => true,
            () => false,
          ),
      };
    },
    wrongTopic: async () => {
      const exchange = uniqueName('direct');
      await withChannel((channel) => channel.assertExchange(exchange, 'direct'));
      return {
        settings: settings({ exchange, declare: { exchange: 'topic' } }),
        says: /inequivalent arg 'type'/,
      };
    },
    tls: async () => {
      const { queue, read } = await topic();
      const keys = { exchange: '', routingKey: queue, tls: { ...itsAuthority, ...certificate } };
      return {
        address: tlsAddress,
        topic: { ...trusting(keys, {}), read },
        stranger: { ...trusting(keys, { ca: unknown.cert }), errorClass: 'tls-certificate' },
      };
    },
    mutualTls: async () => {
      const { queue, read } = await topic();
      const keys = { exchange: '', routingKey: queue };
      return {
        address: tlsAddress,
        topic: { ...trusting({ ...keys, tls: { ...itsAuthority, ...certificate } }, {}), read },
        stranger: trusting({ ...keys, tls: itsAuthority }, {}),
      };
    },
    wrongCredentials: async () => ({
      settings: settings({ exchange: 'amq.topic' }, 'guest:wrong-pass'),
      secret: 'wrong-pass',
    }),
  };
}

async function drain(channel: Channel, queue: string): Promise<Received[]> {
  const received: Received[] = [];
  for (;;) {
    const found = await channel.get(queue, { noAck: true });
    if (found === false) return received;
    const headers = (found.properties.headers ?? {}) as Record<string, string>;
    received.push({
      id: String(found.properties.messageId),
      body: found.content,
      key: headers['outbox-key'] ?? null,
      headers,
    });
  }
}

conform(
  {
    type: rabbitmq,
    start,
    cannot: {
      'beyond-the-window': 'the server has no window: every repeat is stored, under the same id',
    },
  },
  {
    requires: () => requires.program('rabbitmq-server'),
    short: [],
  },
);
