/**
 * Messages that lie in the consumer's database: parked for a person, to be tried again at their time, or behind an earlier one of their
 * key. Those that are due come from here as from any other queue.
 */
import { driverErrorOf } from '../storage/driverError.ts';
import type { Database } from './database.ts';
import { storable } from './storable.ts';
import type { ReceiverClient } from '../receiver/transaction.ts';
import type { Delivery, Host, Incoming } from './type.ts';

export interface KeptFacts {
  /** Null for one that cannot be told from others. */
  readonly id: string | null;
  /** Only where its order is kept. */
  readonly key: string | null;
  readonly type: string | null;
  readonly source: string;
  readonly state: 'parked' | 'retrying' | 'waiting';
  readonly reason: string | null;
  readonly error: string | null;
  readonly delayMs: number | null;
}

/** Keeps it, once; after that the queue may be told that it is done with. */
export async function keep(
  database: Database<ReceiverClient>,
  consumer: string,
  message: Incoming,
  facts: KeptFacts,
): Promise<'kept' | 'in-progress' | 'applied'> {
  const { headers, contentType, body } = message;
  const clean = Object.entries(headers).map(([name, value]) => [storable(name), storable(value)]);
  const row = await database.insist<{ outcome: 'kept' | 'in-progress' | 'applied' }>(
    `select outcome from outbox_inbox.keep($1, $2, $3, $4, $5, $6::jsonb, $7, $8::bytea, $9, $10, $11, $12::float8)`,
    [
      ...[consumer, facts.id, facts.key, textOf(facts.type), facts.source],
      ...[JSON.stringify(Object.fromEntries(clean)), textOf(contentType), Buffer.from(body)],
      ...[facts.state, facts.reason, textOf(facts.error), facts.delayMs],
    ],
  );
  return row?.outcome ?? 'kept';
}

/** What became of an attempt at a kept one: tried again after `delayMs`, or parked. */
export async function keepOn(
  database: Database<ReceiverClient>,
  row: string,
  { state, reason, error, delayMs }: Pick<KeptFacts, 'state' | 'reason' | 'error' | 'delayMs'>,
): Promise<void> {
  await database.insist('select outbox_inbox.keep_on($1::bigint, $2, $3, $4, $5::float8)', [
    ...[row, state, reason, textOf(error), delayMs],
  ]);
}

function textOf(text: string | null): string | null {
  return text === null ? null : storable(text);
}

interface DueRow {
  readonly id: string;
  readonly message_id: string | null;
  readonly key: string | null;
  readonly source: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly content_type: string | null;
  readonly body: Buffer;
}

/** So long a due message is one process's; extended while it is at work. */
const leaseMs = 60_000;

/** Looks for due messages every so often. */
export class KeptSource {
  readonly #database: Database<ReceiverClient>;
  readonly #host: Host;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #here = 0;
  #open = false;

  constructor(database: Database<ReceiverClient>, host: Host, intervalMs: number) {
    this.#database = database;
    this.#host = host;
    this.#intervalMs = intervalMs;
  }

  start(): void {
    this.#open = true;
    this.look();
  }

  /** Takes no more; resolves when none is being taken. */
  async stop(): Promise<void> {
    this.#open = false;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Now, rather than at the next interval. */
  look(): void {
    if (!this.#open) return;
    clearTimeout(this.#timer);
    this.#looking = this.#looking.then(() => this.#take());
  }

  async #take(): Promise<void> {
    if (!this.#open) return;
    let found = 0;
    try {
      const room = this.#host.prefetch - this.#here;
      if (room > 0 && !this.#database.isAway) {
        const rows = await this.#database.ask<DueRow>(
          `select id::text, message_id, key, source, headers, content_type, body
           from outbox_inbox.due($1, $2, $3::float8) order by id`,
          [this.#host.consumer, room, leaseMs],
        );
        found = rows.length;
        for (const row of rows) this.#deliver(row);
      }
    } catch (error) {
      // No inbox of this version, or no right to it, is said at the start; an outage is the database's watch to tell.
      if (await this.#database.isThere(error)) this.#host.trouble(driverErrorOf(error));
    }
    clearTimeout(this.#timer);
    if (this.#open) this.#timer = setTimeout(() => this.look(), found > 0 ? 0 : this.#intervalMs);
  }

  #deliver(row: DueRow): void {
    this.#here++;
    const extending = setInterval(() => {
      this.#database
        .ask(`select outbox_inbox.extend($1::bigint, $2::float8)`, [row.id, leaseMs])
        .catch(() => undefined);
    }, leaseMs / 3);
    const over = (): Promise<void> => {
      clearInterval(extending);
      this.#here--;
      // The next of its key may be due now.
      if (row.key !== null) this.look();
      return Promise.resolve();
    };
    const delivery: Delivery = {
      headers: row.headers,
      body: row.body,
      contentType: row.content_type,
      brokerId: row.message_id ?? `parked/${row.id}`,
      key: row.key,
      position: `parked/${row.id}`,
      kept: row.id,
      acknowledge: over,
      again: over,
      giveBack: async () => {
        await this.#database
          .ask('select outbox_inbox.extend($1::bigint, 0)', [row.id])
          .catch(() => undefined)
          .finally(over);
      },
    };
    this.#host.deliver(delivery);
  }
}
