/** Each broker's client as one would use it by hand, pipelined: as many publishes under way as ours has by default, each confirmed. */

/** @returns `publish(messages)`, which resolves when all are stored, and `close()` */
export function openPublisher(settings) {
  return publishers[settings.type](settings);
}

const headersOf = ({ id }) => ({ 'webhook-id': id, 'content-type': 'application/json' });

const publishers = {
  async rabbitmq({ url, routingKey }) {
    const { connect } = await import('amqplib');
    const connection = await connect(url);
    const channel = await connection.createConfirmChannel();
    return {
      publish: async (messages) => {
        for (const { id, body } of messages)
          channel.publish('', routingKey, Buffer.from(body), {
            ...{ messageId: id, headers: headersOf({ id }), deliveryMode: 2, mandatory: true },
          });
        await channel.waitForConfirms();
      },
      close: () => connection.close(),
    };
  },
  async kafka({ brokers, topic }) {
    const { Producer } = await import('@platformatic/kafka');
    const producer = new Producer({ clientId: 'bare', bootstrapBrokers: brokers });
    const headers = (message) =>
      new Map(Object.entries(headersOf(message)).map((pair) => pair.map((text) => Buffer.from(text))));
    return {
      publish: (messages) =>
        producer.send({
          acks: -1,
          messages: messages.map((message) => ({
            ...{ topic, key: Buffer.from(message.key), value: Buffer.from(message.body) },
            headers: headers(message),
          })),
        }),
      close: () => producer.close(),
    };
  },
  async nats({ servers, stream }) {
    const [{ connect, headers: natsHeaders }, { jetstream }] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/jetstream'),
    ]);
    const connection = await connect({ servers });
    const js = jetstream(connection);
    const one = ({ id, body }) => {
      const headers = natsHeaders();
      for (const [name, value] of Object.entries(headersOf({ id }))) headers.set(name, value);
      return js.publish(`${stream}.order.created`, body, { headers, msgID: id });
    };
    return { publish: (messages) => inLanes(messages, 500, one), close: () => connection.close() };
  },
  async rocketmq({ endpoints, topic }) {
    const { Producer } = await import('rocketmq-client-nodejs');
    const quiet = { debug() {}, info() {}, warn() {}, error() {} };
    const producer = new Producer({ endpoints, namespace: '', topics: [topic], logger: quiet });
    await producer.startup();
    const one = ({ id, body }) =>
      producer.send({
        ...{ topic, body: Buffer.from(body), keys: [id] },
        properties: new Map(Object.entries(headersOf({ id }))),
      });
    return {
      publish: (messages) => inLanes(messages, 200, one),
      close: () => producer.shutdown().catch(() => undefined),
    };
  },
};

async function inLanes(messages, lanes, one) {
  let next = 0;
  const lane = async () => {
    while (next < messages.length) await one(messages[next++]);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Calls `handle(body)` for each message, so many at once, and acknowledges after it. Runs until its process ends. */
export function consumeBare(from, atOnce, handle) {
  return consumers[from.type](from, atOnce, handle);
}

const consumers = {
  async rabbitmq({ url, queue }, atOnce, handle) {
    const { connect } = await import('amqplib');
    const channel = await (await connect(url)).createChannel();
    await channel.prefetch(atOnce);
    await channel.consume(queue, async (message) => {
      await handle(message.content.toString());
      channel.ack(message);
    });
  },
  /** Offsets are committed behind every `atOnce` messages, which are at work together. */
  async kafka({ brokers, topic, group }, atOnce, handle) {
    const { Consumer } = await import('@platformatic/kafka');
    const consumer = new Consumer({ clientId: 'bare', groupId: group, bootstrapBrokers: brokers });
    const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
    let batch = [];
    for await (const message of stream) {
      batch.push(message);
      if (batch.length < atOnce && stream.readableLength > 0) continue;
      const done = batch;
      batch = [];
      await Promise.all(done.map(({ value }) => handle(value.toString())));
      await done.at(-1).commit();
    }
  },
  async nats({ servers, stream, durable }, atOnce, handle) {
    const [{ connect }, { jetstream, jetstreamManager, AckPolicy }] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/jetstream'),
    ]);
    const connection = await connect({ servers });
    const manager = await jetstreamManager(connection);
    await manager.consumers.add(stream, {
      ...{ durable_name: durable, ack_policy: AckPolicy.Explicit, max_ack_pending: atOnce },
    });
    const consumer = await jetstream(connection).consumers.get(stream, durable);
    await consumer.consume({
      max_messages: atOnce,
      callback: (message) => void handle(message.string()).then(() => message.ack()),
    });
  },
  /** As many as are at work are read and acknowledged together. */
  async redis({ url, stream }, atOnce, handle) {
    const { Redis } = await import('ioredis');
    const redis = new Redis(url);
    await redis.xgroup('CREATE', stream, 'bare', '0', 'MKSTREAM');
    for (;;) {
      const read = await redis.xreadgroup(
        ...['GROUP', 'bare', 'one', 'COUNT', atOnce, 'BLOCK', 1000],
        ...['STREAMS', stream, '>'],
      );
      const entries = read?.[0][1] ?? [];
      await Promise.all(entries.map(([, fields]) => handle(fields[fields.indexOf('payload') + 1])));
      if (entries.length > 0) await redis.xack(stream, 'bare', ...entries.map(([id]) => id));
    }
  },
  /** Two polls at once, of ten messages each at most. */
  async sqs({ queueUrl, region, endpoint, credentials }, atOnce, handle) {
    const { SQSClient, ReceiveMessageCommand, DeleteMessageBatchCommand } =
      await import('@aws-sdk/client-sqs');
    const client = new SQSClient({ region, endpoint, credentials });
    const one = { QueueUrl: queueUrl, MaxNumberOfMessages: Math.min(10, atOnce / 2), WaitTimeSeconds: 1 };
    const poll = async () => {
      for (;;) {
        const { Messages = [] } = await client.send(new ReceiveMessageCommand(one));
        await Promise.all(Messages.map(({ Body }) => handle(Body)));
        const Entries = Messages.map(({ ReceiptHandle }, n) => ({ Id: String(n), ReceiptHandle }));
        if (Entries.length > 0)
          await client.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries }));
      }
    };
    await Promise.all([poll(), poll()]);
  },
  async rocketmq({ endpoints, topic, group }, atOnce, handle) {
    const { SimpleConsumer } = await import('rocketmq-client-nodejs');
    const quiet = { debug() {}, info() {}, warn() {}, error() {} };
    const consumer = new SimpleConsumer({
      ...{ endpoints, namespace: '', logger: quiet, consumerGroup: group },
      ...{ subscriptions: new Map([[topic, '*']]), awaitDuration: 1_000 },
    });
    await consumer.startup();
    for (;;) {
      const messages = await consumer.receive(atOnce, 30_000);
      await Promise.all(
        messages.map(async (message) => {
          await handle(message.body.toString());
          await consumer.ack(message);
        }),
      );
    }
  },
};
