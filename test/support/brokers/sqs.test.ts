/** What the tests against SQS rest on, and moto by itself does not keep. */
import {
  CreateQueueCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import { atEnd, requires, uniqueName } from '../index.ts';
import { leaveBrokersToEverything } from '../requires.ts';
import { launchSqs } from './sqs.ts';

test('of a message group nothing is handed to a second poll while a message of it is in flight', async () => {
  leaveBrokersToEverything();
  requires.python('moto', 'flask');
  const server = await launchSqs();
  atEnd(server.stop);
  const credentials = { accessKeyId: 'key-of-a-test', secretAccessKey: 'secret-of-a-test' };
  const client = new SQSClient({ region: 'eu-central-1', endpoint: server.endpoint, credentials });
  atEnd(() => client.destroy());
  for (let round = 1; round <= 2; round++) {
    const { QueueUrl } = await client.send(
      new CreateQueueCommand({ QueueName: `${uniqueName('q')}.fifo`, Attributes: { FifoQueue: 'true' } }),
    );
    const poll = async (): Promise<string[]> => {
      const { Messages = [] } = await client.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 3, WaitTimeSeconds: 4 }),
      );
      return Messages.map(({ Body = '' }) => Body);
    };
    const polls = [poll(), poll()];
    for (let n = 1; n <= 10; n++)
      await client.send(
        new SendMessageCommand({
          ...{ QueueUrl, MessageBody: String(n) },
          ...{ MessageGroupId: 'a', MessageDeduplicationId: `${round}-${n}` },
        }),
      );
    const [one, other] = (await Promise.all(polls)).toSorted((a, b) => b.length - a.length);
    expect(one![0]).toBe('1');
    expect(other).toEqual([]);
  }
});
