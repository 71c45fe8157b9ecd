import type { OutgoingMessage, SentRequest } from '../../core/outcome.ts';
import type { Redis } from 'ioredis';
import type { Connections, Lease } from '../shared/connections.ts';
import { filled, refused, unreachable } from '../shared/failures.ts';
import type { Publisher } from '../shared/pipelinedSender.ts';
import { Template } from '../shared/template.ts';
import { redisFailure } from './answers.ts';
import type { RedisSettings } from './keys.ts';
import { bodyField } from './bodyField.ts';
import { streamEntry, type StreamEntry } from './message.ts';
import { RedisLink, type Server } from './connection.ts';

/** Adds to streams; an entry is acknowledged by the server's reply with its id, and by so many replicas as are asked for. */
export class RedisPublisher implements Publisher {
  readonly #settings: RedisSettings;
  readonly #server: Server;
  readonly #lease: Lease<RedisLink>;
  readonly #stream: Template;
  #waiting: { readonly redis: Redis; readonly replicas: Promise<number> } | undefined;

  constructor(settings: RedisSettings, server: Server, connections: Connections) {
    this.#settings = settings;
    this.#server = server;
    this.#stream = new Template(settings.stream);
    this.#lease = connections.use(
      server.key,
      () => new RedisLink(server),
      (link) => link.close(),
    );
  }

  async publish(message: OutgoingMessage, attempt: { readonly done: boolean }): Promise<void> {
    const stream = this.#streamFor(message);
    const said = `${this.#server.label} stream ${stream}`;
    const entry = streamEntry(this.#settings, message);
    try {
      const redis = await this.#lease.connection.connected();
      // Its deadline passed while the connection was being made.
      if (attempt.done) return;
      const id: unknown = await redis.call('XADD', ...this.#command(stream, entry));
      if (id === null) throw this.#noStream(said);
      await this.#replicated(redis, said);
    } catch (error) {
      throw redisFailure(error, said);
    }
  }

  describe(message: OutgoingMessage): SentRequest {
    return {
      address: `${this.#server.label} stream ${this.#streamFor(message)}`,
      headers: Object.fromEntries(streamEntry(this.#settings, message).headers),
    };
  }

  async check(): Promise<void> {
    try {
      await (await this.#lease.connection.connected()).ping();
    } catch (error) {
      throw redisFailure(error, this.#server.label);
    }
  }

  close(): Promise<void> {
    return this.#lease.release();
  }

  #streamFor(message: OutgoingMessage): string {
    const stream = filled(this.#stream.fill(message), 'stream');
    if (stream === '') throw refused('invalid-message', 'its stream has an empty name');
    return stream;
  }

  #command(stream: string, { headers, body }: StreamEntry): (string | Buffer | number)[] {
    const { declare, maxLength } = this.#settings;
    return [
      stream,
      ...(declare ? [] : ['NOMKSTREAM']),
      ...(maxLength === null ? [] : ['MAXLEN', '~', maxLength]),
      '*',
      ...headers.flat(),
      bodyField,
      body,
    ];
  }

  #noStream(said: string): Error {
    const text = `${said}: there is no such stream; make it (XGROUP CREATE … MKSTREAM), or have it made: declare: true`;
    return this.#stream.isConstant
      ? refused('unknown-target', text, { permanent: false })
      : refused('unroutable', text);
  }

  /** WAIT speaks of all that this connection wrote before it: those who come while one is under way share the next. */
  async #replicated(redis: Redis, said: string): Promise<void> {
    const { wait } = this.#settings;
    if (wait === null) return;
    if (this.#waiting?.redis !== redis) {
      const asked = {
        redis,
        replicas: Promise.resolve().then(() => {
          this.#waiting = undefined;
          return redis.wait(wait.replicas, wait.timeoutMs);
        }),
      };
      this.#waiting = asked;
    }
    const replicas = await this.#waiting.replicas;
    if (replicas < wait.replicas)
      throw unreachable('not-ready', `${said}: ${replicas} of ${wait.replicas} replicas have it in time`);
  }
}
