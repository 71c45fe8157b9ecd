/** Asks whether the queue is there, and what it takes. */
import type { DestinationConfig } from '../../core/destination.ts';
import type { Inspection, Services } from '../type.ts';
import { messageFailure } from './failures.ts';
import type { SqsSettings } from './keys.ts';
import { bytesMax } from './message.ts';
import { prepareQueue } from './queue.ts';
import { SqsConnection } from './connection.ts';

export async function inspectSqs(
  config: DestinationConfig & SqsSettings,
  services: Services,
): Promise<readonly Inspection[]> {
  const queue = prepareQueue(config, services);
  const connection = new SqsConnection(queue);
  try {
    const { client, sqs } = await connection.open();
    const { Attributes = {} } = await client.send(
      new sqs.GetQueueAttributesCommand({ QueueUrl: queue.url, AttributeNames: ['All'] }),
    );
    const { ApproximateNumberOfMessages: waiting = '?', MaximumMessageSize: size } = Attributes;
    const kind = Attributes['FifoQueue'] === 'true' ? 'FIFO' : 'standard';
    const found = `${queue.label} is there, ${kind}, ${waiting} waiting`;
    if (size !== undefined && Number(size) < bytesMax)
      return [
        {
          level: 'warn',
          found: `${found}; it takes ${size} bytes at most`,
          hint: `SQS takes ${bytesMax}: raise MaximumMessageSize, or larger events are refused.`,
        },
      ];
    return [{ level: 'ok', found, hint: null }];
  } catch (error) {
    const { errorClass, message } = messageFailure(error, queue.label);
    return [{ level: 'fail', found: message, hint: hints[errorClass] ?? 'Is it there, and does it answer?' }];
  } finally {
    await connection.close();
  }
}

const hints: Readonly<Record<string, string>> = {
  'unknown-target': 'Correct queueUrl and region, or make the queue.',
  'access-refused': 'The login needs sqs:SendMessage on the queue, and sqs:GetQueueAttributes for this look.',
};
