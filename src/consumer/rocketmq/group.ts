/** A client that is one of a consumer group, and what the broker says of that group. */
import type * as Rocketmq from 'rocketmq-client-nodejs';
import type { SimpleConsumer } from 'rocketmq-client-nodejs';
import { rocketmqClient } from '../../destination/rocketmq/client.ts';
import { clientOptions, type Proxy } from '../../destination/rocketmq/proxy.ts';
import { acceptedTypes, messageTypes } from '../../destination/rocketmq/route.ts';
import { end, guardStreams } from '../../destination/rocketmq/streams.ts';
import { loadClient } from '../../destination/shared/clients.ts';
import { untilDeadline } from '../../destination/shared/untilDeadline.ts';
import { OutboxError } from '../../errors.ts';

export interface GroupSettings {
  readonly topic: string;
  readonly group: string;
  /** `*`, or tags parted by `||`. */
  readonly tags: string;
  /** A request that finds nothing waits so long. */
  readonly waitMs: number;
  /** Whether the order of message groups is to be kept. */
  readonly ordered: boolean;
}

export interface Group {
  readonly consumer: SimpleConsumer;
  /** What was delivered so often the broker puts into a topic of its own. */
  readonly attemptsMax: number;
  end(): Promise<void>;
}

const requestTimeoutMs = 10_000;
/** The client waits for the broker's first word without end. */
const startMsMax = 20_000;

/** @throws what the client says; OutboxError OUTBOX_INBOX_INVALID where topic or group keep no order that is wanted */
export async function openGroup(proxy: Proxy, settings: GroupSettings): Promise<Group> {
  const { topic, group, tags, waitMs, ordered } = settings;
  const client = await loadClient<typeof Rocketmq>(rocketmqClient, 'rocketmq');
  const consumer = new client.SimpleConsumer({
    ...clientOptions(proxy),
    consumerGroup: group,
    subscriptions: new Map([[topic, tags]]),
    requestTimeout: requestTimeoutMs,
    awaitDuration: waitMs,
    maxRetryAttempts: 1,
  });
  guardStreams(consumer);
  const told = hearSettings(consumer);
  try {
    await untilDeadline(consumer.startup(), startMsMax, { said: proxy.label });
    const { keepsOrder, attemptsMax } = told();
    if (attemptsMax < 1)
      throw unfit(`the broker has no consumer group ${group}`, `Make it: mqadmin updateSubGroup -g ${group}`);
    if (ordered && !keepsOrder)
      throw unfit(
        `the consumer group ${group} was not made for order`,
        `order: 'key' needs one that was: mqadmin updateSubGroup -g ${group} -o true`,
      );
    if (ordered && !(await acceptedTypes(consumer, topic)).has(messageTypes.fifo))
      throw unfit(`the topic ${topic} is no FIFO topic`, "order: 'key' needs one with +message.type=FIFO.");
    return { consumer, attemptsMax, end: () => end(consumer) };
  } catch (error) {
    await end(consumer);
    throw error;
  }
}

/** What the broker told last of the group, in its settings. */
function hearSettings(consumer: SimpleConsumer) {
  let keepsOrder = false;
  let attemptsMax = 0;
  const hear = consumer.onSettingsCommand.bind(consumer);
  consumer.onSettingsCommand = (endpoints, settings) => {
    keepsOrder = settings.getSubscription()?.getFifo() === true;
    attemptsMax = settings.getBackoffPolicy()?.getMaxAttempts() ?? 0;
    hear(endpoints, settings);
  };
  return () => ({ keepsOrder, attemptsMax });
}

function unfit(message: string, hint: string): OutboxError {
  return new OutboxError('OUTBOX_INBOX_INVALID', `from: ${message}`, { hint });
}
