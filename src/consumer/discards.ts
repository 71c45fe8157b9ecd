/** Parked messages that a person discarded, told to the consumer once each, so that it can make up for what they leave undone. */
import { inTransaction, type ReceiverClient } from '../receiver/transaction.ts';
import { checkedMessage } from '../inbox/message.ts';
import { firstRow } from '../inbox/sql.ts';
import type { Database } from './database.ts';
import type { Events } from './events.ts';
import { ConsumedMessage } from './message.ts';
import type { ConsumerOptions, Settings } from './options.ts';

interface Discarded {
  readonly id: string;
  readonly message_id: string | null;
  readonly key: string | null;
  readonly type: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly content_type: string | null;
  readonly body: Buffer;
}

export interface DiscardParts {
  readonly tell: (error: unknown, messageId: string | null) => void;
  readonly events: Events;
  readonly signal: AbortSignal;
}

/** After a failure. */
const pauseMs = 5_000;

export class Discards<Client extends ReceiverClient> {
  readonly #database: Database<Client>;
  readonly #options: ConsumerOptions<Client>;
  readonly #settings: Settings;
  readonly #parts: DiscardParts;
  #timer: NodeJS.Timeout | undefined;
  #telling: Promise<void> = Promise.resolve();
  #open = false;

  constructor(
    database: Database<Client>,
    options: ConsumerOptions<Client>,
    settings: Settings,
    parts: DiscardParts,
  ) {
    this.#database = database;
    this.#options = options;
    this.#settings = settings;
    this.#parts = parts;
  }

  start(): void {
    if (this.#options.onDiscard === undefined || this.#parts.signal.aborted) return;
    this.#open = true;
    this.#telling = this.#tellAll();
  }

  async stop(): Promise<void> {
    this.#open = false;
    clearTimeout(this.#timer);
    await this.#telling;
  }

  async #tellAll(): Promise<void> {
    let nextMs = this.#settings.keptIntervalMs;
    try {
      while (this.#open && !this.#database.isAway && (await this.#tellOne()));
    } catch (error) {
      if (await this.#database.isThere(error)) this.#parts.tell(error, null);
      nextMs = Math.max(nextMs, Math.min(pauseMs, nextMs * 5));
    }
    if (this.#open) this.#timer = setTimeout(() => void (this.#telling = this.#tellAll()), nextMs);
  }

  /** Whether there was one. */
  #tellOne(): Promise<boolean> {
    const { consumer, isolation } = this.#settings;
    return inTransaction(this.#database.pool, isolation, async (client) => {
      const row = await firstRow<Discarded>(
        client,
        `update outbox_inbox.parked set told_at = now() where id = (
           select id from outbox_inbox.parked where consumer = $1 and resolution = 'discarded' and told_at is null
           order by id limit 1 for update skip locked)
         returning id::text, message_id, key, type, headers, content_type, body`,
        [consumer],
      );
      if (row === undefined) return false;
      const id = row.message_id ?? `parked/${row.id}`;
      const incoming = {
        ...{
          headers: row.headers,
          body: row.body,
          contentType: row.content_type,
          brokerId: id,
          key: row.key,
        },
        position: `parked/${row.id}`,
      };
      const key = row.key ?? row.headers['outbox-key'] ?? null;
      const message = checkedMessage({ consumer, messageId: id });
      await this.#options.onDiscard?.(
        client,
        new ConsumedMessage(incoming, { id, key, signal: this.#parts.signal }, message),
      );
      this.#parts.events.tell('discard-told', { messageId: id, key, type: row.type });
      return true;
    });
  }
}
