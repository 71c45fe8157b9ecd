/** Attempts, counted in the consumer's database before they begin: for all messages that come at about the same time in one statement. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReceiverClient } from '../receiver/transaction.ts';
import type { Database } from './database.ts';

const clearEveryMs = 50;

export interface Begun {
  readonly verdict: 'go' | 'suspect' | 'kept' | 'behind';
  /** Charged so far. */
  readonly failed: number;
  /** Attempts that their process did not live through. */
  readonly deaths: number;
  readonly firstAtMs: number;
}

interface Asked {
  readonly id: string;
  readonly key: string | null;
  readonly kept: boolean;
  readonly resolve: (begun: Begun) => void;
  readonly reject: (error: unknown) => void;
}

interface BegunRow {
  readonly message_id: string;
  readonly verdict: Begun['verdict'];
  readonly failed: number;
  readonly deaths: number;
  readonly first_at_ms: number | null;
}

export class Attempts {
  readonly #database: Database<ReceiverClient>;
  readonly #consumer: string;
  readonly #runner: string;
  #asked: Asked[] = [];
  #done: string[] = [];
  #asking = false;
  #clearing: Promise<void> | undefined;
  #flushing = false;

  constructor(database: Database<ReceiverClient>, consumer: string, runner: string) {
    this.#database = database;
    this.#consumer = consumer;
    this.#runner = runner;
  }

  /** `key` only where its order is kept. No id twice at once. */
  begin(id: string, key: string | null, kept: boolean): Promise<Begun> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ id, key, kept, resolve, reject });
      if (!this.#asking) void this.#askAll();
    });
  }

  /** One that was a suspect. */
  async beginAlone(id: string): Promise<void> {
    await this.#database.insist('select outbox_inbox.begin_alone($1, $2, $3)', [
      this.#consumer,
      this.#runner,
      id,
    ]);
  }

  /** It failed, or could not be made now. Answers the charged ones. */
  async end(id: string, charged: boolean): Promise<number> {
    const row = await this.#database.insist<{ failed: number | null }>(
      'select outbox_inbox.end_attempt($1, $2, $3) as failed',
      [this.#consumer, id, charged],
    );
    return row?.failed ?? 1;
  }

  /** It had its effect: what was counted may go, at leisure. What is left behind does no harm. */
  settled(id: string): void {
    this.#done.push(id);
    this.#clearing ??= this.#clear();
  }

  /** Until what was settled is cleared away. */
  async flush(): Promise<void> {
    this.#flushing = true;
    await this.#clearing;
  }

  async #askAll(): Promise<void> {
    this.#asking = true;
    try {
      // Those of the same turn travel together.
      await Promise.resolve();
      while (this.#asked.length > 0) {
        const asked = this.#asked;
        this.#asked = [];
        await this.#ask(asked);
      }
    } finally {
      this.#asking = false;
    }
  }

  async #ask(asked: readonly Asked[]): Promise<void> {
    const column = <T>(of: (each: Asked) => T): T[] => asked.map(of);
    try {
      const found = await this.#database.ask<BegunRow>(
        'select * from outbox_inbox.begin_attempts($1, $2, $3::text[], $4::text[], $5::boolean[])',
        [
          this.#consumer,
          this.#runner,
          column(({ id }) => id),
          column(({ key }) => key),
          column(({ kept }) => kept),
        ],
      );
      const rows = new Map(found.map((row) => [row.message_id, row]));
      for (const { id, resolve } of asked) {
        const { verdict, failed, deaths, first_at_ms: firstAtMs } = rows.get(id) as BegunRow;
        resolve({ verdict, failed, deaths, firstAtMs: firstAtMs ?? Date.now() });
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }

  async #clear(): Promise<void> {
    try {
      while (this.#done.length > 0) {
        // In handfuls: the fewer statements, the more of the database is left for handlers.
        if (!this.#flushing) await sleep(clearEveryMs);
        const done = this.#done;
        this.#done = [];
        await this.#database.ask('select outbox_inbox.forget_attempts($1, $2::text[])', [
          this.#consumer,
          done,
        ]);
      }
    } catch {
      // The database is away: maintainInbox forgets what is left behind.
    } finally {
      this.#clearing = undefined;
    }
  }
}
