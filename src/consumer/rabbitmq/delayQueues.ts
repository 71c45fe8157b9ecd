/**
 * Queues whose messages go back to theirs after a while, as RabbitMQ has no delay of its own: one for each delay of a ladder, made when it is
 * needed, gone when it is not used any more. A message is in it, confirmed, before it leaves the queue that it came from.
 */
import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import type { RabbitmqConnection } from '../../destination/rabbitmq/connection.ts';
import { errorText } from '../../destination/shared/networkErrors.ts';
import { OnDemand } from '../../destination/shared/onDemand.ts';

const steps = [1, 1.5, 2, 3, 5, 7];
/** Its queue is made sure of so often. It expires after twice the delay and a minute without that, so never with a message in it. */
const madeForMs = 30_000;
/** It may stay as long as it takes, and the server checks who sends. */
const leftOut = new Set(['expiration', 'userId']);
const numberHeader = 'outbox-again';

/** The next of the ladder: 200, 300, 500, 700, 1000, 1500, … milliseconds. */
export function rungMs(delayMs: number): number {
  const decade = 10 ** Math.floor(Math.log10(Math.max(delayMs, 100)));
  return decade * (steps.find((step) => step * decade >= delayMs) ?? 10);
}

export class DelayQueues {
  readonly #queue: string;
  readonly #channel: OnDemand<ConfirmChannel>;
  readonly #madeAtMs = new Map<number, number>();
  readonly #returned = new Set<string>();
  #number = 0;

  constructor(connection: RabbitmqConnection, queue: string) {
    this.#queue = queue;
    // Apart from the one that messages are taken over: what the server refuses closes the channel.
    this.#channel = new OnDemand(async () => {
      const channel = await connection.confirmChannel();
      channel.on('error', () => undefined);
      channel.on('close', () => {
        this.#channel.forget();
        this.#madeAtMs.clear();
      });
      channel.on('return', ({ properties }) =>
        this.#returned.add(
          String((properties.headers as Record<string, unknown> | undefined)?.[numberHeader]),
        ),
      );
      return channel;
    });
  }

  /** Resolves when the server has it; rejects where it may not make queues here, or is away. */
  async put({ content, properties }: ConsumeMessage, delayMs: number): Promise<void> {
    const channel = await this.#channel.get();
    const ttlMs = rungMs(delayMs);
    const name = `${this.#queue}.again.${ttlMs}`;
    if ((this.#madeAtMs.get(ttlMs) ?? 0) + madeForMs < Date.now()) {
      await channel.assertQueue(name, {
        durable: true,
        arguments: {
          'x-message-ttl': ttlMs,
          'x-expires': ttlMs * 2 + 60_000,
          'x-dead-letter-exchange': '',
          'x-dead-letter-routing-key': this.#queue,
        },
      });
      this.#madeAtMs.set(ttlMs, Date.now());
    }
    const number = String(++this.#number);
    const known = Object.entries(properties).filter(
      ([property, value]) => value !== undefined && !leftOut.has(property),
    );
    const headers = { ...(properties.headers as object | undefined), [numberHeader]: number };
    const options = { ...(Object.fromEntries(known) as object), headers, mandatory: true, deliveryMode: 2 };
    await new Promise<void>((resolve, reject) => {
      channel.publish('', name, content, options, (error: unknown) => {
        if (this.#returned.delete(number)) reject(new Error(`the queue ${name} is gone`));
        else if (error === null || error === undefined) resolve();
        else reject(new Error(errorText(error)));
      });
    });
  }

  close(): Promise<void> {
    return this.#channel.close((channel) => channel.close().catch(() => undefined));
  }
}
