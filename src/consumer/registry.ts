/** The brokers there are: one line each. */
import { nearestWord } from '../core/nearest.ts';
import { missingClient } from '../destination/shared/clients.ts';
import { invalid } from '../inbox/message.ts';
import { checkKeys } from './checks.ts';
import { kafka, type KafkaFrom } from './kafka/index.ts';
import { nats, type NatsFrom } from './nats/index.ts';
import { rabbitmq, type RabbitmqFrom } from './rabbitmq/index.ts';
import { redis, type RedisFrom } from './redis/index.ts';
import { rocketmq, type RocketmqFrom } from './rocketmq/index.ts';
import { sqs, type SqsFrom } from './sqs/index.ts';
import type { ConsumerType } from './type.ts';

export type From =
  | ({ readonly type: 'rabbitmq' } & RabbitmqFrom)
  | ({ readonly type: 'kafka' } & KafkaFrom)
  | ({ readonly type: 'nats' } & NatsFrom)
  | ({ readonly type: 'redis' } & RedisFrom)
  | ({ readonly type: 'rocketmq' } & RocketmqFrom)
  | ({ readonly type: 'sqs' } & SqsFrom);

const types: readonly ConsumerType<never>[] = [rabbitmq, kafka, nats, redis, rocketmq, sqs];

/**
 * @throws OutboxError OUTBOX_INBOX_INVALID for a type or a key that is not known
 * @throws OutboxError OUTBOX_CLIENT_MISSING when the broker's client is not installed: it would be asked for again and again
 */
export function typeOf(from: From): ConsumerType {
  const names = types.map(({ name }) => name);
  const found = types.find(({ name }) => name === from?.type);
  if (found === undefined) {
    const meant = nearestWord(String(from?.type), names);
    throw invalid(
      'from.type',
      `${names.join(', ')}${meant === null ? '' : `; ${meant}, perhaps`}`,
      from?.type,
    );
  }
  checkKeys(`from (${found.name})`, from, ['type', ...found.keys]);
  for (const client of found.clients) {
    const missing = missingClient(client, found.name);
    if (missing !== null) throw missing;
  }
  return found;
}
