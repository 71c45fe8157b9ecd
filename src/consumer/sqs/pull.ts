/** Receives from a queue of SQS. */
import type * as Sqs from '@aws-sdk/client-sqs';
import type { BatchResultErrorEntry, Message } from '@aws-sdk/client-sqs';
import { entriesMax } from '../../destination/sqs/batches.ts';
import { sqsClient } from '../../destination/sqs/client.ts';
import { SqsConnection, type Queue } from '../../destination/sqs/connection.ts';
import { otherHeaders, transferEncoding } from '../../destination/sqs/names.ts';
import { loadClient } from '../../destination/shared/clients.ts';
import type { Pull, Pulled } from '../shared/pulling.ts';
import { textHeaders, textOrNull } from '../shared/text.ts';
import { Handfuls, type Refused } from './handfuls.ts';

type SqsModule = Pick<
  typeof Sqs,
  | 'ReceiveMessageCommand'
  | 'DeleteMessageBatchCommand'
  | 'ChangeMessageVisibilityCommand'
  | 'ChangeMessageVisibilityBatchCommand'
>;

interface Open {
  readonly connection: SqsConnection;
  readonly client: Sqs.SQSClient;
  readonly sqs: SqsModule;
  readonly extensions: Handfuls;
  readonly acknowledgements: Handfuls;
}

const visibilitySecondsMax = 12 * 3600;

export function sqsPull(queue: Queue, visibilitySeconds: number, waitSeconds: number): Pull<Open> {
  const QueueUrl = queue.url;
  const delivery = (open: Open, message: Message): Pulled => {
    const { client, sqs, extensions, acknowledgements } = open;
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
      acknowledge: () => acknowledgements.add(ReceiptHandle),
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
      const extensions = new Handfuls(async (handles) => {
        const Entries = entriesOf(handles).map((entry) => ({
          ...entry,
          VisibilityTimeout: visibilitySeconds,
        }));
        return refusedOf(
          await client.send(new sqs.ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries })),
        );
      });
      const acknowledgements = new Handfuls(async (handles) =>
        refusedOf(
          await client.send(new sqs.DeleteMessageBatchCommand({ QueueUrl, Entries: entriesOf(handles) })),
        ),
      );
      return { connection, client, sqs, extensions, acknowledgements };
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

/** Named by their places. */
function entriesOf(handles: readonly string[]) {
  return handles.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }));
}

function refusedOf({ Failed = [] }: { Failed?: BatchResultErrorEntry[] | undefined }): Refused[] {
  return Failed.map(({ Id, Code, Message }) => ({ at: Number(Id), why: Message ?? Code ?? 'refused' }));
}

/** What found no place among the ten attributes. */
function othersOf(json: string | undefined): object {
  try {
    return (JSON.parse(json ?? '{}') ?? {}) as object;
  } catch {
    return {};
  }
}
