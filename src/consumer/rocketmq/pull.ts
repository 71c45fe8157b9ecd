/** Receives from a topic of RocketMQ as one of a consumer group. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageView, SimpleConsumer } from 'rocketmq-client-nodejs';
import type { Proxy } from '../../destination/rocketmq/proxy.ts';
import type { Pull, Pulled } from '../shared/pulling.ts';
import { textHeaders, textOrNull } from '../shared/text.ts';
import { openGroup, type Group, type GroupSettings } from './group.ts';

export interface RocketmqConsumerSettings extends GroupSettings {
  /** So long what was received is invisible to others. */
  readonly invisibleMs: number;
}

interface Open extends Group {
  /** What is being asked for; a client that ends waits for it, or what comes would be invisible to all for a while. */
  receiving: Promise<unknown>;
}

const atOnceMax = 32;
/** Between two requests of which the first found nothing. */
const emptyMsMin = 200;
const invisibleMsMax = 12 * 3_600_000;

export function rocketmqPull(proxy: Proxy, settings: RocketmqConsumerSettings): Pull<Open> {
  const { invisibleMs } = settings;
  const receive = async (
    { consumer, attemptsMax }: Group,
    room: number,
    deliver: (pulled: Pulled) => void,
    signal: AbortSignal,
  ): Promise<void> => {
    const askedAtMs = performance.now();
    const messages = await consumer.receive(Math.min(room, atOnceMax), invisibleMs);
    // Where all queues are held up for their order the broker answers at once.
    const earlyMs = emptyMsMin - (performance.now() - askedAtMs);
    if (messages.length === 0 && earlyMs > 0) await sleep(earlyMs, undefined, { signal });
    if (signal.aborted)
      await Promise.allSettled(messages.map((message) => consumer.changeInvisibleDuration(message, 0)));
    else for (const message of messages) deliver(delivery(consumer, message, { invisibleMs, attemptsMax }));
  };
  return {
    extendEveryMs: invisibleMs / 3,
    async open() {
      return { ...(await openGroup(proxy, settings)), receiving: Promise.resolve() };
    },
    receive(open, room, deliver, signal) {
      const receiving = receive(open, room, deliver, signal);
      open.receiving = receiving.catch(() => undefined);
      return receiving;
    },
    async end(open) {
      await open.receiving;
      await open.end();
    },
  };
}

/** Of the deliveries that the broker allows, so many are kept for deaths and stops of consumers. */
const attemptsKept = 4;

function delivery(
  consumer: SimpleConsumer,
  message: MessageView,
  { invisibleMs, attemptsMax }: { readonly invisibleMs: number; readonly attemptsMax: number },
): Pulled {
  // Each change gives the message another handle, so one waits for the other.
  let last: Promise<unknown> = Promise.resolve();
  const next = (work: () => Promise<unknown>): Promise<unknown> => (last = last.then(work, work));
  const invisible = (ms: number) => next(() => consumer.changeInvisibleDuration(message, ms));
  const headers = textHeaders(message.properties);
  const { topic, messageId, messageGroup, deliveryAttempt = 1 } = message;
  return {
    headers,
    body: message.body,
    contentType: textOrNull(headers['content-type']),
    brokerId: textOrNull(messageId),
    key: textOrNull(messageGroup),
    position: `${topic}@${messageId}`,
    acknowledge: () => next(() => consumer.ack(message)),
    giveBack: () => invisible(0),
    // One that was delivered too often the broker would put aside, unseen by us: before that it waits in the consumer's database.
    again:
      deliveryAttempt + attemptsKept > attemptsMax
        ? null
        : (delayMs) => invisible(Math.min(Math.ceil(delayMs), invisibleMsMax)),
    extend: () => invisible(invisibleMs),
  };
}
