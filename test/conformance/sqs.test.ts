/** type: sqs, by the suite, standard and FIFO queues. */
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { sqs } from '../../src/destination/sqs/index.ts';
import type { Harness, HarnessServer, Received, Topic } from '../../src/testing/conformance/index.ts';
import { launchSqs } from '../support/brokers/sqs.ts';
import { requires, uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

const region = 'eu-central-1';
const windowSeconds = 2;

async function start(fifo: boolean): Promise<HarnessServer> {
  const server = await launchSqs({ windowSeconds });
  const strict = await launchSqs({ logins: true });
  const client = new SQSClient({
    region,
    endpoint: server.endpoint,
    credentials: { accessKeyId: 'reader', secretAccessKey: 'reader' },
  });
  const path = (name: string): string => `/123456789012/${name}`;
  const at = (name: string) => ({
    settings: (address: string) => ({
      queueUrl: `http://${address}${path(name)}`,
      region,
      credentials: { accessKeyId: 'env:SQS_KEY_ID', secretAccessKey: 'env:SQS_KEY' },
    }),
    env: () => ({ SQS_KEY_ID: 'AKIAWRITER', SQS_KEY: 'wrong-secret' }),
  });
  const newName = (): string => `${uniqueName('queue')}${fifo ? '.fifo' : ''}`;
  const topic = async (): Promise<Topic> => {
    const name = newName();
    await client.send(
      new CreateQueueCommand({ QueueName: name, ...(fifo ? { Attributes: { FifoQueue: 'true' } } : {}) }),
    );
    const received: Received[] = [];
    const url = `${server.endpoint}${path(name)}`;
    return {
      ...at(name),
      read: async () => {
        received.push(...(await drain(client, url)));
        return received;
      },
    };
  };
  return {
    address: `127.0.0.1:${server.port}`,
    stop: async () => {
      client.destroy();
      await Promise.all([server.stop(), strict.stop()]);
    },
    topic,
    refused: async () => ({
      ...(await topic()),
      message: { payload: '"\u0007"', contentType: 'text/plain' },
      errorClass: 'invalid-message',
      says: /a character at 2 that SQS cannot carry \(U\+0007\)/,
    }),
    tooLarge: async () => ({ ...(await topic()), message: { payload: `"${'x'.repeat(1024 * 1024)}"` } }),
    missingTopic: async () => {
      const name = newName();
      return {
        ...at(name),
        says: /QueueDoesNotExist/,
        isThere: () =>
          client.send(new GetQueueUrlCommand({ QueueName: name })).then(
            () => true,
            () => false,
          ),
      };
    },
    wrongCredentials: async () => ({
      ...at(newName()),
      settings: () => at(newName()).settings(`127.0.0.1:${strict.port}`),
      secret: 'wrong-secret',
    }),
    ...(fifo ? { window: async () => ({ topic: await topic(), waitMs: windowSeconds * 1000 + 500 }) } : {}),
  };
}

async function drain(client: SQSClient, QueueUrl: string): Promise<Received[]> {
  const received: Received[] = [];
  for (;;) {
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'] }),
    );
    if (Messages.length === 0) return received;
    for (const { Body = '', MessageAttributes = {} } of Messages) {
      const headers = Object.fromEntries(
        Object.entries(MessageAttributes).map(([name, { StringValue = '' }]) => [name, StringValue]),
      );
      received.push({
        id: headers['webhook-id'] ?? '',
        body: headers['content-transfer-encoding'] === 'base64' ? Buffer.from(Body, 'base64') : Body,
        key: headers['outbox-key'] ?? null,
        headers: { ...headers, ...(JSON.parse(headers['outbox-headers'] ?? '{}') as object) },
      });
    }
    await client.send(
      new DeleteMessageBatchCommand({
        QueueUrl,
        Entries: Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle })),
      }),
    );
  }
}

const inMemory = 'moto keeps messages in memory; SQS itself cannot be killed';

const both = (fifo: boolean): Harness => ({
  type: sqs,
  name: fifo ? 'sqs, FIFO queues' : 'sqs',
  start: () => start(fifo),
  // The SDK has a pool of them for its one client.
  connections: 50,
  patienceMs: 90_000,
  cannot: {
    unroutable: 'a queue keeps what it gets',
    'wrong-topic': 'a FIFO queue is known by its name, which ends with .fifo',
    blocked: 'moto throttles nobody',
    'killed-in-a-batch': inMemory,
    'killed-after-acknowledging': inMemory,
    'empty-payload':
      'SQS takes no empty body: such an event is refused, and says so (test/destinationTypes/sqs.test.ts)',
    'one-mebibyte': 'SQS takes 1 MiB with its attributes: what is larger is refused, and says so',
    tls: 'the authorities are those of Node, and moto speaks http',
    'mutual-tls': 'SQS knows clients by their signature',
    ...(fifo
      ? { 'hot-key': 'a FIFO queue of moto takes more than two minutes for a thousand messages of one group' }
      : {
          order: 'a standard queue keeps no order',
          'beyond-the-window': 'a standard queue has no window: every repeat is stored',
        }),
  },
});

for (const fifo of [false, true])
  conform(both(fifo), {
    requires: () => requires.python('moto', 'flask'),
    short: [],
  });
