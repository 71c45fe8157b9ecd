/**
 * temporal-outbox/consumer: takes messages from a queue and has the effect of each once, through the inbox. Loads neither Temporal
 * nor a PostgreSQL driver, and of the brokers' clients the one that is used.
 */
export { createConsumer, type Consumer } from './consumer.ts';
export type { ConsumerOptions } from './options.ts';
export type { ConsumedMessage } from './message.ts';
export type { ConsumerCounters, ConsumerEvent, ConsumerEventKind } from './events.ts';
export type { From } from './registry.ts';
export type { KafkaFrom } from './kafka/index.ts';
export type { NatsFrom } from './nats/index.ts';
export type { SqsFrom } from './sqs/index.ts';
export type { RedisFrom } from './redis/index.ts';
export type { RocketmqFrom } from './rocketmq/index.ts';
export type { RabbitmqFrom } from './rabbitmq/index.ts';
export type { Incoming } from './type.ts';
export { Refusal } from '../receiver/answers.ts';
