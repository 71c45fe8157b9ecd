/** Brokers for twenty thousand events: places on each, and a client of its own that reads them back. The benchmark plays on them too. */
import { connect } from 'amqplib';
import { createTopic, launchKafka, readTopic } from '../../support/brokers/kafka.ts';
import { requireJars } from '../../support/brokers/jars.ts';
import { addStream, launchNats, readStream } from '../../support/brokers/nats.ts';
import { launchRabbitmq } from '../../support/brokers/rabbitmq.ts';
import { launchRocketmq } from '../../support/brokers/rocketmq.ts';
import { uniqueName } from '../../support/database.ts';
import { requires } from '../../support/requires.ts';

export interface Stored {
  /** The broker's own message id, or the header that carries it. */
  readonly id: string;
  readonly body: string;
}

export interface Place {
  /** A destination's keys. */
  readonly settings: object;
  /** A consumer's. */
  readonly from: object;
  /** All that is stored, those of one key in their order. */
  readonly read: () => Promise<readonly Stored[]>;
}

export interface VolumeBroker {
  /** RocketMQ: a topic for transactional messages. */
  readonly transactional?: () => Promise<{ readonly endpoints: string; readonly topic: string }>;
  /** A queue, topic or stream of its own; `ordered`: of the kind that keeps the order of keys. */
  readonly place: (shape: { readonly ordered: boolean }) => Promise<Place>;
  readonly kill9: () => Promise<void>;
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface BrokerKind {
  /** The type's default, for the bound of what may come twice. */
  readonly concurrency: number;
  readonly require: () => unknown;
  readonly launch: () => Promise<VolumeBroker>;
}

async function rabbitmq(): Promise<VolumeBroker> {
  const { url, kill9, start, stop, syncDefinitions } = await launchRabbitmq();
  const place = async (): Promise<Place> => {
    const queue = uniqueName('volume');
    const connection = await connect(url);
    await (await connection.createChannel()).assertQueue(queue, { durable: true });
    await connection.close();
    await syncDefinitions();
    return {
      settings: { type: 'rabbitmq', url, exchange: '', routingKey: queue },
      from: { type: 'rabbitmq', url, queue },
      read: () => readQueue(url, queue),
    };
  };
  return { place, kill9, start, stop };
}

async function readQueue(url: string, queue: string): Promise<Stored[]> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  const { messageCount } = await channel.checkQueue(queue);
  const stored: Stored[] = [];
  await new Promise<void>((resolve, reject) => {
    const take = (message: { properties: { messageId?: unknown }; content: Buffer } | null): void => {
      if (message === null) return reject(new Error('the server ended the consumer'));
      stored.push({ id: String(message.properties.messageId), body: message.content.toString() });
      if (stored.length === messageCount) resolve();
    };
    channel.consume(queue, take, { noAck: true }).catch(reject);
  });
  await connection.close();
  return stored;
}

async function kafka(): Promise<VolumeBroker> {
  const server = await launchKafka();
  const { plain, kill9, start, stop } = server;
  const place = async (): Promise<Place> => {
    const topic = uniqueName('volume');
    await createTopic(server, topic, { partitions: 3 });
    return {
      settings: { type: 'kafka', brokers: [plain], topic },
      from: { type: 'kafka', brokers: [plain], topic, group: topic },
      read: async () =>
        (await readTopic(server, topic)).map(({ headers, value }) => ({
          id: headers['webhook-id'] ?? '',
          body: value ?? '',
        })),
    };
  };
  return { place, kill9, start, stop };
}

async function nats(): Promise<VolumeBroker> {
  const server = await launchNats();
  const { url, kill9, start, stop } = server;
  const place = async (): Promise<Place> => {
    const stream = uniqueName('S').replaceAll(/[^A-Za-z0-9]/g, '');
    // The server itself would drop repeats of the last two minutes, and nobody could count them.
    const duplicate_window = 100 * nanosecondsOfMs;
    await addStream(server, { name: stream, subjects: [`${stream}.>`], duplicate_window });
    return {
      settings: { type: 'nats', servers: [url], stream, subject: `${stream}.{type}` },
      from: { type: 'nats', servers: [url], stream, durable: 'volume' },
      read: async () =>
        (await readStream(server, stream)).map(({ headers, body }) => ({
          id: headers['webhook-id'] ?? '',
          body,
        })),
    };
  };
  return { place, kill9, start, stop };
}

const nanosecondsOfMs = 1_000_000;

async function rocketmq(): Promise<VolumeBroker> {
  const server = await launchRocketmq();
  const { endpoints, admin, kill9, start, stop } = server;
  const place = async ({ ordered }: { readonly ordered: boolean }): Promise<Place> => {
    const topic = uniqueName('volume');
    await server.createTopic(topic, ordered ? 'FIFO' : 'NORMAL');
    await admin.createGroup(topic, { ordered });
    return {
      settings: { type: 'rocketmq', endpoints, topic, ...(ordered ? { group: '{key}' } : {}) },
      from: { type: 'rocketmq', endpoints, topic, group: topic },
      read: async () =>
        (await server.read(topic)).map(({ properties, body }) => ({
          id: properties['webhook-id'] ?? '',
          body: body.toString(),
        })),
    };
  };
  const transactional = async () => {
    const topic = uniqueName('transactions');
    await server.createTopic(topic, 'TRANSACTION');
    return { endpoints, topic };
  };
  return { place, transactional, kill9, start, stop };
}

export const brokers: Readonly<Record<string, BrokerKind>> = {
  rocketmq: { concurrency: 200, require: () => requireJars('rocketmq'), launch: rocketmq },
  rabbitmq: {
    concurrency: 500,
    require: () => requires.program('rabbitmq-server'),
    launch: rabbitmq,
  },
  kafka: { concurrency: 1000, require: () => requireJars('kafka'), launch: kafka },
  nats: { concurrency: 500, require: () => requires.program('nats-server'), launch: nats },
};
