/** What a broker is to a consumer: it hands over deliveries, and takes back what became of each. */
import type { Client } from '../destination/shared/clients.ts';
import type { SecretSource } from '../core/secrets.ts';

/** A message as its broker has it. */
export interface Incoming {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly contentType: string | null;
  /** By which the broker, or the producer through it, tells this message from all others; null where there is nothing such. */
  readonly brokerId: string | null;
  /** The broker's own key: a record's key, a message group. */
  readonly key: string | null;
  /** Where it lies, for people and for functions that make ids: `orders[3]@1042`. */
  readonly position: string;
}

/** Every promise here may reject where the broker is away: then the broker delivers it again. */
export interface Delivery extends Incoming {
  /** Done with: never again. */
  acknowledge(): Promise<unknown>;
  /** Again after so many milliseconds, in the broker's own way; null where it has none. */
  readonly again: ((delayMs: number) => Promise<unknown>) | null;
  /** Longer delays it has none for. Default: none is too long. */
  readonly againMsMax?: number;
  /** Aborted when the broker has given it to somebody else: it is not begun any more. */
  readonly lost?: AbortSignal;
  /** To whoever comes next, at once: the consumer stops. */
  giveBack(): Promise<unknown>;
  /** Of a message kept in the consumer's database, its row. */
  readonly kept?: string;
}

/** What a broker's side is given by the core. */
export interface Host {
  /** Takes what was delivered; never throws. */
  readonly deliver: (delivery: Delivery) => void;
  /** Messages that may be here at once and not settled. */
  readonly prefetch: number;
  /** Of these so many may be at work. */
  readonly concurrency: number;
  readonly order: 'none' | 'key';
  readonly consumer: string;
  /** Something is wrong with the way to the broker; it is being tried again. */
  readonly trouble: (error: unknown) => void;
  readonly connected: () => void;
}

/** One place that messages are taken from. Connects by itself, again and again, from `start` to `close`. */
export interface Source {
  /** Resolves when messages are being taken for the first time. */
  start(): Promise<void>;
  /**
   * Takes no more; what is here stays. May be called again, also when it is not connected. `for-now`: the consumer's database is away, and
   * {@link resume} follows. Up to `prefetch` messages may still come where to take none would change their order; after `for-good` they
   * are given back, at the latest by {@link close}.
   */
  pause(why: 'for-now' | 'for-good'): Promise<void>;
  resume(): Promise<void>;
  /** After `pause`, when all that was delivered is settled or given up. */
  close(): Promise<void>;
}

/** One broker. */
export interface ConsumerType<From extends object = object> {
  /** `rabbitmq`, as in outbox.yaml. */
  readonly name: string;
  readonly clients: readonly Client[];
  /** Its keys of `from`, without `type`. */
  readonly keys: readonly string[];
  /** For people, and kept beside what is parked: `rabbitmq orders`. */
  source(from: From): string;
  /** @throws OutboxError OUTBOX_INBOX_INVALID for what cannot be right */
  open(from: From, host: Host, secrets: SecretSource): Source;
}
