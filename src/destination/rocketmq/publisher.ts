import type { OutgoingMessage, SentRequest } from '../../core/outcome.ts';
import type { Connections, Lease } from '../shared/connections.ts';
import { requireSize } from '../shared/failures.ts';
import type { Publisher } from '../shared/pipelinedSender.ts';
import { rocketmqFailure } from './answers.ts';
import type { RocketmqSettings } from './keys.ts';
import { rocketmqMessage, RocketmqTemplates } from './message.ts';
import { RocketmqLink, type Proxy } from './proxy.ts';

export interface RocketmqTarget extends RocketmqSettings {
  readonly timeoutMs: number;
}

/** Sends over gRPC; a message is acknowledged by `SEND_OK`: the broker has it, flushed and replicated as it is configured. */
export class RocketmqPublisher implements Publisher {
  readonly #target: RocketmqTarget;
  readonly #proxy: Proxy;
  readonly #lease: Lease<RocketmqLink>;
  readonly #templates: RocketmqTemplates;

  constructor(target: RocketmqTarget, proxy: Proxy, connections: Connections) {
    this.#target = target;
    this.#proxy = proxy;
    this.#templates = new RocketmqTemplates(target);
    this.#lease = connections.use(
      proxy.key,
      () => new RocketmqLink(proxy),
      (link) => link.close(),
    );
  }

  async publish(message: OutgoingMessage, attempt: { readonly done: boolean }): Promise<void> {
    const sent = rocketmqMessage(this.#target, this.#templates, message);
    try {
      await this.#lease.connection.within(this.#target.timeoutMs, async (producer) => {
        if (attempt.done) return;
        requireSize(
          sent.body.length,
          producer.publishingSettings.maxBodySizeBytes,
          'the broker (maxMessageSize)',
        );
        await producer.send({ ...sent });
      });
    } catch (error) {
      const isConstant = this.#templates.topic.isConstant;
      throw rocketmqFailure(error, { said: `${this.#proxy.label} topic ${sent.topic}`, isConstant });
    }
  }

  describe(message: OutgoingMessage): SentRequest {
    const { topic, keys, messageGroup, tag, properties } = rocketmqMessage(
      this.#target,
      this.#templates,
      message,
    );
    const group = messageGroup === undefined ? '' : `, group ${messageGroup}`;
    return {
      address: `${this.#proxy.label} topic ${topic}${group}${tag === undefined ? '' : `, tag ${tag}`}`,
      headers: { keys: keys.join(' '), ...Object.fromEntries(properties) },
    };
  }

  close(): Promise<void> {
    return this.#lease.release();
  }
}
