/** SQS before the suite of consumers, as moto has it, in memory. */
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { ConsumerServer, PutMessage } from '../../../src/testing/consumers/index.ts';
import { launchSqs } from '../../support/brokers/sqs.ts';
import { uniqueName } from '../../support/index.ts';

/** Of a batch. */
const entriesMax = 10;

export async function startSqs(): Promise<ConsumerServer> {
  return serve(await launchSqs({ windowSeconds: 0 }));
}

/** Queues of whatever speaks SQS at that endpoint. */
export function serve(server: {
  readonly endpoint: string;
  readonly stop: () => Promise<void>;
}): ConsumerServer {
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
          // Where order is asked for one after another.
          const atOnce = ordered ? 1 : entriesMax;
          for (let from = 0; from < messages.length; from += atOnce) {
            const { Failed = [] } = await client.send(
              new SendMessageBatchCommand({
                QueueUrl,
                Entries: messages.slice(from, from + atOnce).map((message) => ({
                  Id: String(++sent),
                  ...entryOf(message),
                  ...(ordered
                    ? { MessageGroupId: message.key ?? 'none', MessageDeduplicationId: String(sent) }
                    : {}),
                })),
              }),
            );
            if (Failed.length > 0) throw new Error(JSON.stringify(Failed[0]));
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

function entryOf({ headers, contentType, body }: PutMessage) {
  const isText = contentType.startsWith('application/json');
  const all = {
    ...headers,
    'content-type': contentType,
    ...(isText ? {} : { 'content-transfer-encoding': 'base64' }),
  };
  return {
    MessageBody: Buffer.from(body).toString(isText ? 'utf8' : 'base64'),
    MessageAttributes: Object.fromEntries(
      Object.entries(all).map(([name, StringValue]) => [name, { DataType: 'String', StringValue }]),
    ),
  };
}
