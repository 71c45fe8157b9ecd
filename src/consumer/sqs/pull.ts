/** Receives from a queue of SQS. */
import type * as Sqs from '@aws-sdk/client-sqs';
import type { Message } from '@aws-sdk/client-sqs';
import { entriesMax } from '../../destination/sqs/batches.ts';
import { sqsClient } from '../../destination/sqs/client.ts';
import { SqsConnection, type Queue } from '../../destination/sqs/connection.ts';
import { otherHeaders, transferEncoding } from '../../destination/sqs/names.ts';
import { loadClient } from '../../destination/shared/clients.ts';
import type { Pull, Pulled } from '../shared/pulling.ts';
import { textHeaders, textOrNull } from '../shared/text.ts';
import { Extensions } from './extensions.ts';

type SqsModule = Pick<
  typeof Sqs,
  | 'ReceiveMessageCommand'
  | 'DeleteMessageCommand'
  | 'ChangeMessageVisibilityCommand'
  | 'ChangeMessageVisibilityBatchCommand'
>;

interface Open {
  readonly connection: SqsConnection;
  readonly client: Sqs.SQSClient;
  readonly sqs: SqsModule;
  readonly extensions: Extensions;
}

const visibilitySecondsMax = 12 * 3600;

export function sqsPull(queue: Queue, visibilitySeconds: number, waitSeconds: number): Pull<Open> {
  const QueueUrl = queue.url;
  const delivery = ({ client, sqs, extensions }: Open, message: Message): Pulled => {
    const {
      ReceiptHandle = '',
      MessageId = '',
      Body = '',
      Attributes = {},
      MessageAttributes = {},
    } = message;
    const visible = (seconds: number) =>
      client.send(
        new sqs.ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: seconds }),
      );
    const attributes = Object.entries(MessageAttributes).map(
      ([name, { StringValue, BinaryValue }]) => [name, StringValue ?? BinaryValue] as const,
    );
    const headers = textHeaders(attributes.filter(([name]) => name !== otherHeaders));
    Object.assign(
      headers,
      textHeaders(Object.entries(othersOf(MessageAttributes[otherHeaders]?.StringValue))),
    );
    return {
      headers,
      body: Buffer.from(Body, headers[transferEncoding] === 'base64' ? 'base64' : 'utf8'),
      contentType: textOrNull(headers['content-type']),
      brokerId: textOrNull(MessageId),
      key: Attributes.MessageGroupId ?? null,
      position: `${queue.label}@${MessageId}`,
      acknowledge: () => client.send(new sqs.DeleteMessageCommand({ QueueUrl, ReceiptHandle })),
      giveBack: () => visible(0),
      again: (delayMs) => visible(Math.min(Math.ceil(delayMs / 1000), visibilitySecondsMax)),
      extend: () => extensions.add(ReceiptHandle),
    };
  };
  return {
    extendEveryMs: (visibilitySeconds * 1000) / 3,
    async open() {
      const connection = new SqsConnection(queue);
      const { client } = await connection.open();
      const sqs = await loadClient<SqsModule>(sqsClient, 'sqs');
      const extensions = new Extensions((handles) => {
        const Entries = handles.map((ReceiptHandle, index) => ({
          ...{ Id: String(index), ReceiptHandle, VisibilityTimeout: visibilitySeconds },
        }));
        return client.send(new sqs.ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }));
      });
      return { connection, client, sqs, extensions };
    },
    async receive(open, room, deliver, signal) {
      const { Messages = [] } = await open.client.send(
        new open.sqs.ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: Math.min(room, entriesMax),
          WaitTimeSeconds: waitSeconds,
          VisibilityTimeout: visibilitySeconds,
          MessageAttributeNames: ['All'],
          MessageSystemAttributeNames: ['All'],
        }),
        { abortSignal: signal },
      );
      for (const message of Messages) deliver(delivery(open, message));
    },
    end: ({ connection }) => connection.close(),
  };
}

/** What found no place among the ten attributes. */
function othersOf(json: string | undefined): object {
  try {
    return (JSON.parse(json ?? '{}') ?? {}) as object;
  } catch {
    return {};
  }
}
