/** What a consumer is told, and whether it can be right. */
import type { PoolClient } from 'pg';
import type { RetryPolicy } from '../core/destination.ts';
import { checkedClaimOptions, type ClaimOptions } from '../inbox/claim.ts';
import { checkedText, invalid } from '../inbox/message.ts';
import type { ReceiverClient, ReceiverPool } from '../receiver/transaction.ts';
import { defaults } from '../settings/limits.ts';
import { normaliseRetry, type RetryInput } from '../settings/retry.ts';
import { checkedCount, checkedDuration, checkKeys } from './checks.ts';
import type { ConsumerEvent } from './events.ts';
import type { ConsumedMessage } from './message.ts';
import type { From } from './registry.ts';
import type { Incoming } from './type.ts';

export interface ConsumerOptions<Client extends ReceiverClient = PoolClient> extends ClaimOptions {
  /** The queue: `{ type: 'rabbitmq', url, queue }`, `{ type: 'kafka', brokers, topic, group }`, … */
  readonly from: From;
  /** Who consumes, 1 to 255 bytes: each consumer does each message once. */
  readonly consumer: string;
  /** Of `pg`, with a `connectionTimeoutMillis` and at least `concurrency` + 1 connections. */
  readonly pool: ReceiverPool<Client>;
  /**
   * Does the work through `client`, whose transaction the consumer began and ends. What it throws rolls back and is retried; throw
   * a `Refusal` of `temporal-outbox/receiver` to choose: 422 and its like park at once, 429 and 503 are not charged.
   */
  readonly handler: (client: Client, message: ConsumedMessage) => unknown;
  /**
   * Told once of each parked message that a person discards, in a transaction of its own, so that its effects elsewhere can be
   * made up for. What it throws is tried again.
   */
  readonly onDiscard?: (client: Client, message: ConsumedMessage) => unknown;
  /** As in outbox.yaml: twelve attempts in about five hours by default. */
  readonly retry?: RetryInput;
  /** Messages at work at once, each with a connection of the pool. Default 8. */
  readonly concurrency?: number;
  /** Messages taken from the queue and not settled. Default twice the concurrency, four times with `order: 'key'`. */
  readonly prefetch?: number;
  /** `key`: those of one key go one after another, and one that fails holds its key up, and no other. Default `none`. */
  readonly order?: 'none' | 'key';
  /** The id of a message by which it is done once. Default: `webhook-id`, CloudEvents' id, the broker's message id. */
  readonly id?: ((message: Incoming) => string | null | undefined) | undefined;
  /** The key whose order is kept. Default: `outbox-key`, CloudEvents' `partitionkey`, the broker's key. */
  readonly key?: ((message: Incoming) => string | null | undefined) | undefined;
  /** Default `read committed`. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  /** How long `stop` waits for handlers, as in `30s`. Default 30s. */
  readonly stopTimeout?: string;
  /** How often kept messages that are due are looked for. Default 1s. */
  readonly keptInterval?: string;
  /** Told of everything that happens; for metrics and logs. Must not throw. */
  readonly onEvent?: (event: ConsumerEvent) => void;
  /** Around each handler, for traces: has to call `run` once and to answer what it answers. */
  readonly around?: <T>(message: ConsumedMessage, run: () => Promise<T>) => Promise<T>;
  /** Told of what went wrong. Default: a line on stderr. */
  readonly onError?: (error: unknown, message: { readonly messageId: string | null }) => void;
}

export interface Settings {
  readonly consumer: string;
  readonly retry: RetryPolicy;
  readonly concurrency: number;
  readonly prefetch: number;
  readonly order: 'none' | 'key';
  readonly isolation: string;
  readonly stopTimeoutMs: number;
  readonly keptIntervalMs: number;
  readonly claim: ClaimOptions;
}

/** @throws OutboxError OUTBOX_INBOX_INVALID */
export function checkedOptions(options: ConsumerOptions<never>): Settings {
  const { order = 'none', isolation = 'read committed', wait = 2_000, onRevision = 'refuse' } = options;
  const { concurrency = 8 } = options;
  if (order !== 'none' && order !== 'key') throw invalid('order', 'none or key', order);
  if (!isolations.includes(isolation)) throw invalid('isolation', isolations.join(' or '), isolation);
  if (typeof options.handler !== 'function') throw invalid('handler', 'a function', options.handler);
  checkedClaimOptions({ wait, onRevision });
  const prefetch = options.prefetch ?? concurrency * (order === 'key' ? 4 : 2);
  return {
    consumer: checkedText('consumer', options.consumer),
    retry: checkedRetry(options.retry ?? {}),
    concurrency: checkedCount('concurrency', concurrency),
    prefetch: checkedCount('prefetch', prefetch),
    order,
    isolation,
    stopTimeoutMs: checkedDuration('stopTimeout', options.stopTimeout ?? '30s'),
    keptIntervalMs: checkedDuration('keptInterval', options.keptInterval ?? '1s'),
    claim: { wait, onRevision },
  };
}

const isolations = ['read committed', 'repeatable read', 'serializable'];

function checkedRetry(retry: RetryInput): RetryPolicy {
  for (const name of ['initialInterval', 'maximumInterval', 'scheduleToCloseTimeout'] as const)
    if (retry[name] !== undefined) checkedDuration(`retry.${name}`, retry[name]);
  for (const each of retry.schedule ?? []) checkedDuration('retry.schedule', each);
  if (retry.maximumAttempts !== undefined) checkedCount('retry.maximumAttempts', retry.maximumAttempts);
  checkKeys('retry', retry, [
    ...['initialInterval', 'backoffCoefficient', 'maximumInterval', 'maximumAttempts'],
    ...['scheduleToCloseTimeout', 'jitter', 'schedule', 'retryAfter'],
  ]);
  return normaliseRetry(retry, defaults.retry);
}
