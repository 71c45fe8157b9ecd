/** Takes from one queue over a channel of its own, and puts what failed into a delay queue. */
import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import { RabbitmqConnection, type Server } from '../../destination/rabbitmq/connection.ts';
import { Held } from '../shared/held.ts';
import { textHeaders, textOrNull } from '../shared/text.ts';
import type { Delivery, Host, Source } from '../type.ts';
import { DelayQueues } from './delayQueues.ts';

export interface RabbitmqSettings {
  readonly queue: string;
  readonly declare: 'quorum' | 'classic' | false;
  readonly bind: { readonly exchange: string; readonly routingKeys: readonly string[] } | null;
}

/** Shorter ones are waited for here. */
const delayHereMsMax = 200;
/** Where no delay queue can be made. */
const delayWithoutQueueMsMax = 30_000;

export class RabbitmqSource implements Source {
  readonly #settings: RabbitmqSettings;
  readonly #host: Host;
  readonly #connection: RabbitmqConnection;
  readonly #held: Held<ConfirmChannel>;
  readonly #delays: DelayQueues;
  #tag: string | undefined;
  #paused = false;
  /** Ends with its channel, and neither gives back before nor begins anew. */
  #leaves = false;
  /** One after another: taking begins and ends. */
  #changing: Promise<void> = Promise.resolve();

  constructor(server: Server, settings: RabbitmqSettings, host: Host) {
    this.#settings = settings;
    this.#host = host;
    this.#connection = new RabbitmqConnection(server);
    this.#delays = new DelayQueues(this.#connection, settings.queue);
    this.#held = new Held(
      (lost) => this.#open(lost),
      (channel) => channel.close(),
      (error) => host.trouble(error),
    );
  }

  start(): Promise<void> {
    return this.#held.start();
  }

  /**
   * A consumer that is cancelled may lose what was on its way to it: a quorum queue delivers that again, after what a new one took in the
   * meantime (seen with 3.10). And the next one begins with what is behind that which is still at work here. Where order is kept it therefore
   * stays until its channel is closed, which puts all that is not acknowledged back where it was; `prefetch` bounds what waits here.
   */
  pause(why: 'for-now' | 'for-good'): Promise<void> {
    this.#leaves = why === 'for-good' && this.#host.order === 'key';
    this.#paused = this.#host.order !== 'key';
    return this.#settle();
  }

  resume(): Promise<void> {
    this.#paused = false;
    return this.#settle();
  }

  async close(): Promise<void> {
    await this.#held.close();
    await this.#delays.close();
    await this.#connection.close();
  }

  async #open(lost: (error?: unknown) => void): Promise<ConfirmChannel> {
    const channel = await this.#connection.confirmChannel();
    let closedBy: unknown;
    channel.on('error', (error) => (closedBy = error));
    channel.on('close', () => {
      this.#tag = undefined;
      lost(closedBy);
    });
    const { queue, declare, bind } = this.#settings;
    try {
      if (declare === false) await channel.checkQueue(queue);
      else await channel.assertQueue(queue, { durable: true, arguments: this.#arguments(declare) });
      for (const routingKey of bind?.routingKeys ?? [])
        await channel.bindQueue(queue, bind!.exchange, routingKey);
      await channel.prefetch(this.#host.prefetch);
      this.#tag = undefined;
      if (this.#takes) await this.#consume(channel, lost);
    } catch (error) {
      await channel.close().catch(() => undefined);
      throw closedBy ?? error;
    }
    this.#host.connected();
    // It may be wanted otherwise by now.
    setImmediate(() => void this.#settle());
    return channel;
  }

  #arguments(kind: 'quorum' | 'classic'): Record<string, unknown> {
    return {
      'x-queue-type': kind,
      ...(this.#host.order === 'key' ? { 'x-single-active-consumer': true } : {}),
    };
  }

  async #consume(channel: ConfirmChannel, lost: (error?: unknown) => void): Promise<void> {
    const { consumerTag } = await channel.consume(this.#settings.queue, (message) => {
      // The server ended it: the queue was deleted.
      if (message === null) lost(new Error(`the queue ${this.#settings.queue} is gone`));
      else this.#host.deliver(this.#delivery(channel, message));
    });
    this.#tag = consumerTag;
    this.#lost = lost;
  }

  #lost: (error?: unknown) => void = () => undefined;

  get #takes(): boolean {
    return !this.#paused && !this.#leaves;
  }

  /** Takes, or does not, as it is wanted now. */
  #settle(): Promise<void> {
    this.#changing = this.#changing.then(async () => {
      const channel = this.#held.now;
      if (channel === undefined) return;
      try {
        if (this.#paused && this.#tag !== undefined) {
          const tag = this.#tag;
          this.#tag = undefined;
          await channel.cancel(tag);
        } else if (this.#takes && this.#tag === undefined) await this.#consume(channel, this.#lost);
      } catch {
        // The channel closed: what opens the next does as it is wanted then.
      }
    });
    return this.#changing;
  }

  #delivery(channel: ConfirmChannel, message: ConsumeMessage): Delivery {
    const { content, properties } = message;
    const type = textOrNull(properties.type);
    const headers = textHeaders(Object.entries(properties.headers ?? {}));
    if (type !== null) headers['outbox-event-type'] ??= type;
    const back = (requeue: boolean) => {
      if (requeue) channel.nack(message, false, true);
      else channel.ack(message);
    };
    const after = (delayMs: number) => {
      setTimeout(() => {
        try {
          back(true);
        } catch {
          // The channel closed: it comes again by itself.
        }
      }, delayMs).unref();
    };
    return {
      headers,
      body: content,
      contentType: textOrNull(properties.contentType),
      brokerId: textOrNull(properties.messageId),
      key: null,
      position: this.#settings.queue,
      acknowledge: async () => back(false),
      giveBack: async () => {
        if (!this.#leaves) back(true);
      },
      again: async (delayMs) => {
        if (delayMs < delayHereMsMax) return after(delayMs);
        try {
          await this.#delays.put(message, delayMs);
        } catch {
          return after(Math.min(delayMs, delayWithoutQueueMsMax));
        }
        back(false);
      },
    };
  }
}
