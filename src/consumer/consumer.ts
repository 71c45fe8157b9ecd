/** A consumer: its queue, its database, and how it starts and stops. */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { printable } from '../core/printable.ts';
import { hearIdleErrors, type ReceiverClient } from '../receiver/transaction.ts';
import { Attempts } from './attempts.ts';
import { Database } from './database.ts';
import { Discards } from './discards.ts';
import { Events, type ConsumerCounters } from './events.ts';
import { errorLine } from './failures.ts';
import { KeptSource } from './kept.ts';
import { checkedOptions, type ConsumerOptions } from './options.ts';
import { typeOf } from './registry.ts';
import type { Host } from './type.ts';
import { Work } from './work.ts';

export interface Consumer {
  /** Resolves when the first messages may come: connected to the queue and the database. Rejects when the inbox is missing. */
  readonly ready: Promise<void>;
  /**
   * Takes no more, finishes what is at work, gives the rest back to the queue, and disconnects. What handlers have not finished after
   * `stopTimeout` is the queue's again; nothing is acknowledged whose effect is not committed.
   */
  stop(): Promise<void>;
  /** So many of each kind since it was made. */
  readonly counters: ConsumerCounters;
}

/**
 * Takes messages from a queue and has the effect of each once: `handler` works in one transaction of the consumer's database
 * beside the inbox's mark, and the message is acknowledged after the commit. What fails is retried as `retry` says; what exhausts
 * that is parked in the same database (`temporal-outbox inbox parked list`) and acknowledged. The inbox has to be there
 * (`temporal-outbox inbox migrate`).
 *
 * Begins at once; broker and database need not be there yet.
 *
 * @throws OutboxError OUTBOX_INBOX_INVALID when an option cannot be right
 * @throws OutboxError OUTBOX_CLIENT_MISSING when the broker's client is not installed
 *
 * @example
 * const consumer = createConsumer({
 *   from: { type: 'rabbitmq', url: 'env:RABBIT_URL', queue: 'stock' },
 *   consumer: 'stock', pool,
 *   handler: (client, message) => client.query('insert into reservations …', [message.json().order]),
 * });
 */
export function createConsumer<Client extends ReceiverClient = PoolClient>(
  options: ConsumerOptions<Client>,
): Consumer {
  const settings = checkedOptions(options as unknown as ConsumerOptions<never>);
  const type = typeOf(options.from);
  const [stopping, givenUp] = [new AbortController(), new AbortController()];
  // Each message that waits listens.
  setMaxListeners(0, stopping.signal, givenUp.signal);
  const events = new Events(options.onEvent);
  const tell = teller(options.onError, settings.consumer);
  hearIdleErrors(options.pool, () => undefined);
  const database: Database<Client> = new Database(
    options.pool,
    {
      away: (error) => {
        events.tell('paused', { reason: errorLine(error) });
        void source.pause('for-now').catch(ignore);
      },
      back: () => {
        events.tell('resumed');
        void source.resume().catch(ignore);
        kept.look();
      },
    },
    stopping.signal,
  );
  const attempts = new Attempts(database, settings.consumer, randomUUID());
  const { consumer, order, prefetch, concurrency } = settings;
  const { type: _name, ...from } = options.from;
  const work = new Work({
    ...{ settings, options, database, attempts, events, tell },
    ...{ source: type.source(from), stopping: stopping.signal, givenUp: givenUp.signal },
  });
  const host: Host = {
    deliver: (delivery) => work.take(delivery),
    ...{ prefetch, concurrency, order, consumer },
    trouble: (error) => {
      events.tell('disconnected', { reason: errorLine(error) });
      tell(error, null);
    },
    connected: () => events.tell('connected'),
  };
  const source = type.open(from, host, { env: process.env });
  const kept = new KeptSource(database, host, settings.keptIntervalMs);
  const discards = new Discards(database, options, settings, { tell, events, signal: stopping.signal });

  const start = async (): Promise<void> => {
    await untilReached(database, tell, stopping.signal);
    if (stopping.signal.aborted) return;
    kept.start();
    discards.start();
    await source.start();
  };
  const ready = start();
  ready.catch(ignore);
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    stopping.abort();
    await Promise.all([kept.stop(), discards.stop(), source.pause('for-good').catch(ignore)]);
    const patience = new AbortController();
    const late = sleep(settings.stopTimeoutMs, undefined, { signal: patience.signal }).then(
      () => givenUp.abort(),
      ignore,
    );
    await Promise.race([work.idle(), late]);
    patience.abort();
    await attempts.flush();
    await source.close().catch(ignore);
    await ready.catch(ignore);
  };
  return { ready, counters: events.counters, stop: () => (stopped ??= stop()) };
}

/** A database that is away at the start is waited for; one without an inbox is a mistake. */
async function untilReached<Client extends ReceiverClient>(
  database: Database<Client>,
  tell: (error: unknown, id: string | null) => void,
  stopping: AbortSignal,
): Promise<void> {
  while (!stopping.aborted) {
    try {
      return await database.require();
    } catch (error) {
      if (!(await isOutage(database, error))) {
        tell(error, null);
        throw error;
      }
      tell(error, null);
      await database.available();
    }
  }
}

async function isOutage<Client extends ReceiverClient>(
  database: Database<Client>,
  error: unknown,
): Promise<boolean> {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return code !== 'OUTBOX_SCHEMA_MISSING' && !(await database.isThere(error));
}

function teller(
  onError: ConsumerOptions['onError'],
  consumer: string,
): (error: unknown, messageId: string | null) => void {
  return (error, messageId) => {
    try {
      if (onError !== undefined) return onError(error, { messageId });
    } catch {
      // Told below.
    }
    const about = messageId === null ? '' : ` message ${printable(messageId, 300)}:`;
    process.stderr.write(`consumer ${printable(consumer, 255)}:${about} ${errorLine(error)}\n`);
  };
}

const ignore = (): undefined => undefined;
