/** Consuming from SQS, by the suite, against moto. */
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { ConsumerServer } from '../../src/testing/consumers/index.ts';
import { launchSqs } from '../support/brokers/sqs.ts';
import { requires, uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

async function start(): Promise<ConsumerServer> {
  const server = await launchSqs({ windowSeconds: 0 });
  const credentials = { accessKeyId: 'key-of-a-test', secretAccessKey: 'secret-of-a-test' };
  const region = 'eu-central-1';
  const client = new SQSClient({ region, endpoint: server.endpoint, credentials });
  let sent = 0;
  return {
    stop: server.stop,
    queue: async ({ ordered }) => {
      const { QueueUrl } = await client.send(
        new CreateQueueCommand({
          QueueName: ordered ? `${uniqueName('q')}.fifo` : uniqueName('q'),
          Attributes: ordered ? { FifoQueue: 'true' } : {},
        }),
      );
      return {
        from: {
          ...{ type: 'sqs', queueUrl: QueueUrl!, region, endpoint: server.endpoint },
          ...{ credentials, visibilityTimeout: '3s', waitTime: '1s' },
        },
        put: async (messages) => {
          for (const { headers, key, contentType, body } of messages) {
            const isText = contentType.startsWith('application/json');
            const all = {
              ...headers,
              'content-type': contentType,
              ...(isText ? {} : { 'content-transfer-encoding': 'base64' }),
            };
            await client.send(
              new SendMessageCommand({
                QueueUrl,
                MessageBody: Buffer.from(body).toString(isText ? 'utf8' : 'base64'),
                MessageAttributes: Object.fromEntries(
                  Object.entries(all).map(([name, StringValue]) => [
                    name,
                    { DataType: 'String', StringValue },
                  ]),
                ),
                ...(ordered ? { MessageGroupId: key ?? 'none', MessageDeduplicationId: String(++sent) } : {}),
              }),
            );
          }
        },
        left: async () => {
          const { Attributes = {} } = await client.send(
            new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }),
          );
          return (
            Number(Attributes['ApproximateNumberOfMessages']) +
            Number(Attributes['ApproximateNumberOfMessagesNotVisible']) +
            Number(Attributes['ApproximateNumberOfMessagesDelayed'] ?? 0)
          );
        },
      };
    },
  };
}

conform(
  {
    name: 'sqs',
    start,
    cannot: {
      'no-id': 'every message has an id of the server',
      'broker-killed': 'the server of the tests keeps its messages in memory',
    },
  },
  {
    requires: () => requires.python('moto', 'flask'),
    short: [],
  },
);
