import type { ConfirmChannel } from 'amqplib';
import type { OutgoingMessage, SentRequest } from '../../core/outcome.ts';
import type { Connections, Lease } from '../shared/connections.ts';
import { filled, refused, requireSize, SendFailure, unreachable } from '../shared/failures.ts';
import { errorText } from '../shared/networkErrors.ts';
import type { Publisher } from '../shared/pipelinedSender.ts';
import { Template } from '../shared/template.ts';
import type { RabbitmqSettings } from './keys.ts';
import { amqpMessage, requireShort } from './message.ts';
import { RabbitmqConnection, type Server } from './connection.ts';
import { declare } from './targets.ts';

/** A channel and what was learnt on it. */
interface Lane {
  readonly channel: ConfirmChannel;
  /** Why the server closed it; null while it is open or when the connection broke. */
  closedBy: Error | null;
  open: boolean;
  /** What came back unroutable and is not confirmed yet: by the attempt's own number. */
  readonly returned: Map<string, string>;
}

/** Tells an attempt's return from those of repeats of the same event; left out of what consumers see as ids. */
const numberHeader = 'outbox-publish';

/**
 * Publishes to one exchange over a channel of its own, with confirms. A message nobody takes comes back before it is confirmed, and is
 * refused; a nack is a queue that cannot take it now. What the server closes the channel for is told to all that were under way.
 */
export class RabbitmqPublisher implements Publisher {
  readonly #settings: RabbitmqSettings;
  readonly #server: Server;
  readonly #lease: Lease<RabbitmqConnection>;
  readonly #routingKey: Template;
  #lane: Promise<Lane> | undefined;
  #published = 0;

  constructor(settings: RabbitmqSettings, server: Server, connections: Connections) {
    this.#settings = settings;
    this.#server = server;
    this.#routingKey = new Template(settings.routingKey);
    this.#lease = connections.use(
      server.key,
      () => new RabbitmqConnection(server),
      (connection) => connection.close(),
    );
  }

  async publish(message: OutgoingMessage, attempt: { readonly done: boolean }): Promise<void> {
    const routingKey = this.#keyOf(message);
    const { body, options } = amqpMessage(this.#settings, message);
    const lane = await this.#openLane();
    const { largest } = this.#lease.connection;
    if (largest !== null) requireSize(body.length, largest, `${this.#server.label} (max_message_size)`);
    this.#requireUnblocked();
    // Its deadline passed while the connection was being made.
    if (attempt.done) return;
    const number = String(++this.#published);
    const headers = { ...(options.headers as Record<string, string>), [numberHeader]: number };
    await new Promise<void>((resolve, reject) => {
      try {
        lane.channel.publish(
          this.#settings.exchange,
          routingKey,
          body,
          { ...options, headers },
          (error: unknown) => {
            const returned = lane.returned.get(number);
            lane.returned.delete(number);
            if (returned !== undefined)
              reject(refused('unroutable', `${returned} (routing key ${routingKey})`));
            else if (error === null || error === undefined) resolve();
            else reject(this.#unconfirmed(lane, error, body.length));
          },
        );
      } catch (error) {
        reject(this.#unconfirmed(lane, error, body.length));
      }
    });
  }

  describe(message: OutgoingMessage): SentRequest {
    const { options } = amqpMessage(this.#settings, message);
    const { messageId = '', contentType = '' } = options;
    return {
      address: `${this.#server.label} ${this.#place()}, routing key ${this.#keyOf(message)}`,
      headers: {
        'message-id': messageId,
        'content-type': contentType,
        ...(options.headers as Record<string, string>),
      },
    };
  }

  async check(): Promise<void> {
    await this.#openLane();
    this.#requireUnblocked();
  }

  async close(): Promise<void> {
    const lane = await this.#lane?.catch(() => undefined);
    this.#lane = undefined;
    if (lane?.open === true) await lane.channel.close().catch(() => undefined);
    await this.#lease.release();
  }

  #keyOf(message: OutgoingMessage): string {
    return requireShort(filled(this.#routingKey.fill(message), 'routing key'), 'routing key');
  }

  #place(): string {
    const { exchange } = this.#settings;
    return exchange === '' ? 'default exchange' : `exchange ${exchange}`;
  }

  #requireUnblocked(): void {
    const { blocked } = this.#lease.connection;
    if (blocked !== null)
      throw unreachable('blocked', `${this.#server.label} takes no messages at the moment: ${blocked}`);
  }

  /** All that are under way share it, or the failure to open it. */
  #openLane(): Promise<Lane> {
    const opening = (this.#lane ??= this.#open());
    opening.catch(() => {
      if (this.#lane === opening) this.#lane = undefined;
    });
    return opening;
  }

  async #open(): Promise<Lane> {
    const channel = await this.#lease.connection.confirmChannel();
    const lane: Lane = { channel, closedBy: null, open: true, returned: new Map() };
    channel.on('error', (error) => (lane.closedBy = error));
    channel.on('close', () => {
      lane.open = false;
      this.#lane = undefined;
    });
    channel.on('return', ({ fields, properties }) => {
      const { replyText } = fields as unknown as { readonly replyText: string };
      const headers = (properties.headers ?? {}) as Record<string, unknown>;
      lane.returned.set(
        String(headers[numberHeader]),
        `${this.#server.label} ${this.#place()}: ${replyText}`,
      );
    });
    try {
      await declare(channel, this.#settings);
    } catch (error) {
      throw this.#undeclared(lane, error);
    }
    return lane;
  }

  #undeclared(lane: Lane, error: unknown): SendFailure {
    const text = errorText(lane.closedBy ?? error);
    if (codeOf(lane.closedBy) !== 406) return this.#unconfirmed(lane, error);
    return refused('wrong-target', `${this.#server.label} ${this.#place()}: ${text}`, { permanent: false });
  }

  /**
   * Why there was no confirm of a message of so many bytes. The server closes a channel for one message and with it all that are under
   * way: what is one message's fault is no other's.
   */
  #unconfirmed(lane: Lane, error: unknown, bytes = 0): SendFailure {
    if (error instanceof SendFailure) return error;
    const text = errorText(lane.closedBy ?? error);
    const said = `${this.#server.label} ${this.#place()}: ${text}`;
    if (text === 'message nacked')
      return unreachable(
        'not-ready',
        `${this.#server.label} ${this.#place()}: not stored by every queue (nack)`,
      );
    const code = codeOf(lane.closedBy);
    if (code === 404) return refused('unknown-target', said, { permanent: false });
    if (code === 403) return refused('access-refused', said, { permanent: false });
    const limit = /larger than (?:configured )?max size (\d+)/.exec(text)?.[1];
    if (limit !== undefined) {
      this.#lease.connection.largest = Number(limit);
      if (bytes > Number(limit)) return refused('too-large', said);
      return unreachable('connection-reset', `${said}: the channel closed for another message`);
    }
    if (code === 406) return refused('rejected', said, { permanent: false });
    return unreachable('connection-reset', `${said}: the channel closed before the confirm`);
  }
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | null)?.code;
}
