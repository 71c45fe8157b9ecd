import type { OutgoingMessage, SentRequest } from '../../core/outcome.ts';
import type { Connections, Lease } from '../shared/connections.ts';
import { unreachable } from '../shared/failures.ts';
import type { Publisher } from '../shared/pipelinedSender.ts';
import { Batches, type Waiting } from './batches.ts';
import { entryFailure, messageFailure, requestFailure } from './failures.ts';
import type { SqsSettings } from './keys.ts';
import { sqsMessage } from './message.ts';
import { SqsConnection, type Queue } from './connection.ts';

/** Sends to one queue, up to ten messages a request; each has an answer of its own. */
export class SqsPublisher implements Publisher {
  readonly #settings: SqsSettings;
  readonly #queue: Queue;
  readonly #timeoutMs: number;
  readonly #lease: Lease<SqsConnection>;
  readonly #batches = new Batches((batch) => void this.#send(batch));

  constructor(settings: SqsSettings, queue: Queue, timeoutMs: number, connections: Connections) {
    this.#settings = settings;
    this.#queue = queue;
    this.#timeoutMs = timeoutMs;
    this.#lease = connections.use(
      queue.key,
      () => new SqsConnection(queue),
      (connection) => connection.close(),
    );
  }

  publish(outgoing: OutgoingMessage, attempt: { readonly done: boolean }): Promise<void> {
    const message = sqsMessage(this.#settings, this.#queue.isFifo, outgoing);
    return new Promise((resolve, reject) => this.#batches.add({ message, attempt, resolve, reject }));
  }

  describe(outgoing: OutgoingMessage): SentRequest {
    const { entry } = sqsMessage(this.#settings, this.#queue.isFifo, outgoing);
    const { MessageAttributes = {}, MessageGroupId, MessageDeduplicationId } = entry;
    const headers = Object.entries({
      'message-group-id': MessageGroupId,
      'message-deduplication-id': MessageDeduplicationId,
      ...Object.fromEntries(
        Object.entries(MessageAttributes).map(([name, { StringValue }]) => [name, StringValue]),
      ),
    });
    return {
      address: this.#queue.label,
      headers: Object.fromEntries(
        headers.filter((header): header is [string, string] => header[1] !== undefined),
      ),
    };
  }

  close(): Promise<void> {
    return this.#lease.release();
  }

  /** Never rejects: each of the batch is told. */
  async #send(batch: readonly Waiting[]): Promise<void> {
    const { label } = this.#queue;
    try {
      await this.#request(batch);
    } catch (error) {
      const failure = batch.length === 1 ? messageFailure(error, label) : requestFailure(error, label);
      if (failure !== null) for (const { reject } of batch) reject(failure);
      // One of them is at fault, and SQS does not say which: it will say so of that one alone.
      else for (const waiting of batch) await this.#send([waiting]);
    }
  }

  async #request(batch: readonly Waiting[]): Promise<void> {
    const { label, url } = this.#queue;
    const { client, sqs } = await this.#lease.connection.open();
    const { Successful = [], Failed = [] } = await client.send(
      new sqs.SendMessageBatchCommand({
        QueueUrl: url,
        Entries: batch.map(({ message }, index) => ({ Id: String(index), ...message.entry })),
      }),
      { abortSignal: AbortSignal.timeout(this.#timeoutMs) },
    );
    for (const { Id } of Successful) batch[Number(Id)]?.resolve();
    for (const entry of Failed) batch[Number(entry.Id)]?.reject(entryFailure(entry, label));
    // Whoever was told already is not told again.
    for (const { reject } of batch) reject(unreachable('not-ready', `${label}: no answer for this message`));
  }
}
