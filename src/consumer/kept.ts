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
  /** When its lease ends, exactly, as the database writes it. */
  readonly until: string;
}

/**
 * So long a due message is one process's, which extends it all the while: one that was killed, or never heard that it has it, holds up a key for
 * this long. Where a process merely stood still, the inbox's claim keeps two from being at work on one message.
 */
const leaseMs = 6_000;
const extendEveryMs = leaseMs / 4;

/** Only what is as we left it: one that failed meanwhile, or is somebody else's, has another time. */
const extendSql = `update outbox_inbox.parked p set next_at = now() + $3::float8 * interval '1 millisecond'
  from unnest($1::bigint[], $2::text[]) as held (id, until)
  where p.id = held.id and p.state in ('retrying', 'waiting') and extract(epoch from p.next_at)::text = held.until
  returning p.id::text, extract(epoch from p.next_at)::text as until`;

/** Where what a row's lease was set to is not known. */
const extendUnseenSql = `update outbox_inbox.parked p set next_at = now() + $2::float8 * interval '1 millisecond'
  where p.id = any ($1::bigint[]) and p.state in ('retrying', 'waiting') and p.next_at <= now() + $2::float8 * interval '1 millisecond'
  returning p.id::text, extract(epoch from p.next_at)::text as until`;

/** Looks for due messages every so often. */
export class KeptSource {
  readonly #database: Database<ReceiverClient>;
  readonly #host: Host;
  readonly #intervalMs: number;
  /** Rows that are here → until when, as far as is known. */
  readonly #held = new Map<string, string | null>();
  #timer: NodeJS.Timeout | undefined;
  #extending: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
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
      const room = this.#host.prefetch - this.#held.size;
      if (room > 0 && !this.#database.isAway) {
        const rows = await this.#database.ask<DueRow>(
          `select id::text, message_id, key, source, headers, content_type, body, extract(epoch from next_at)::text as until
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
    const isHere = this.#held.has(row.id);
    this.#held.set(row.id, row.until);
    // Its time ran out, as in an outage of the database, and nobody else came.
    if (isHere) return;
    this.#extending ??= setInterval(() => void this.#extend(), extendEveryMs).unref();
    const over = (): Promise<void> => {
      this.#held.delete(row.id);
      if (this.#held.size === 0) {
        clearInterval(this.#extending);
        this.#extending = undefined;
      }
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

  /** All that is here. */
  async #extend(): Promise<void> {
    if (this.#database.isAway) return;
    const all = [...this.#held];
    const known = all.flatMap(([id, until]) => (until === null ? [] : [{ id, until }]));
    const unseen = all.flatMap(([id, until]) => (until === null ? [id] : []));
    try {
      const extended = [
        ...(known.length === 0
          ? []
          : await this.#database.ask<Pick<DueRow, 'id' | 'until'>>(extendSql, [
              known.map(({ id }) => id),
              known.map(({ until }) => until),
              leaseMs,
            ])),
        ...(unseen.length === 0
          ? []
          : await this.#database.ask<Pick<DueRow, 'id' | 'until'>>(extendUnseenSql, [unseen, leaseMs])),
      ];
      for (const { id, until } of extended) if (this.#held.has(id)) this.#held.set(id, until);
    } catch {
      // Carried out or not, nobody knows.
      for (const [id] of all) if (this.#held.has(id)) this.#held.set(id, null);
    }
  }
}
