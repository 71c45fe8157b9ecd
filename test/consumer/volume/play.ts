/** A queue full of messages, a PostgreSQL of its own, and one consumer's process after another. */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { expect } from 'vitest';
import { startPostgres, type EmbeddedPostgres } from '../../../src/embedded/index.ts';
import { migrateInbox } from '../../../src/inbox/index.ts';
import { message } from '../../../src/testing/consumers/stage.ts';
import type { TestQueue } from '../../../src/testing/consumers/index.ts';
import { atEnd } from '../../support/cleanup.ts';
import { eventually } from '../../support/index.ts';

export type Poison = 'refused' | 'fails' | 'dies';

/** Bounds one confirm, one send, one batch. */
const putAtOnce = 2_000;
const concurrency = 16;

export class VolumePlay {
  readonly #queue: TestQueue;
  readonly #directory: string;
  #postgres: EmbeddedPostgres;
  #pool: pg.Pool;
  /** Messages that were at work when a process ended; who is killed with one of them twice is thought to be its victim. */
  #interrupted: string[] = [];
  #consumer: { readonly kill: () => Promise<void>; readonly hasEnded: () => boolean } | undefined;
  /** How often a process ended by itself, with the message that ends it. */
  deaths = 0;

  private constructor(queue: TestQueue, directory: string, postgres: EmbeddedPostgres) {
    this.#queue = queue;
    this.#directory = directory;
    this.#postgres = postgres;
    this.#pool = openPool(postgres.url);
  }

  static async open(queue: TestQueue): Promise<VolumePlay> {
    const directory = await mkdtemp(join(tmpdir(), 'outbox-volume-'));
    // As root, PostgreSQL runs as another user, who has to enter it.
    await chmod(directory, 0o755);
    const play = new VolumePlay(queue, directory, await launchPostgres(directory, 0));
    atEnd(() => play.#close());
    await migrateInbox(play.#pool);
    // Without a constraint: a second effect would be one more row.
    await play.#pool.query(
      'create table effects (n integer not null, message_id text not null); create index on effects (message_id)',
    );
    return play;
  }

  async put(count: number, poison: ReadonlyMap<number, Poison>): Promise<void> {
    const messages = Array.from({ length: count }, (_, n) => {
      const given = message({ n });
      return { ...given, body: Buffer.from(JSON.stringify({ n, poison: poison.get(n) ?? null })) };
    });
    for (let from = 0; from < count; from += putAtOnce)
      await this.#queue.put(messages.slice(from, from + putAtOnce));
  }

  /** Until so many messages had their effect and so many are parked; a process that ends by itself meanwhile is followed by another. */
  async consumeUntil(effects: number, parked = 0): Promise<void> {
    await eventually(
      async () => {
        if (this.#consumer?.hasEnded() === true) {
          this.deaths += 1;
          await this.#noteInterrupted();
          this.#consumer = undefined;
        }
        this.#consumer ??= await this.#spawn();
        const row = await this.one(
          `select (select count(*)::int from effects) as done,
             (select count(*)::int from outbox_inbox.parked) as parked,
             (select count(*)::int from unnest($1::text[]) as i (id)
              where not exists (select from effects e where e.message_id = i.id)
                and not exists (select from outbox_inbox.parked p where p.message_id = i.id)) as interrupted`,
          [this.#interrupted],
        );
        expect(row['done']).toBeGreaterThanOrEqual(effects);
        expect(row['parked']).toBeGreaterThanOrEqual(parked);
        expect(row['interrupted']).toBe(0);
      },
      { timeout: 240_000, interval: 100 },
    );
  }

  async kill(): Promise<void> {
    await this.#consumer?.kill();
    this.#consumer = undefined;
    await this.#noteInterrupted();
  }

  /** With the consumer at work. */
  async restartDatabase(): Promise<void> {
    const { port } = this.#postgres;
    await this.#pool.end();
    await this.#postgres.stop();
    this.#postgres = await launchPostgres(this.#directory, port);
    this.#pool = openPool(this.#postgres.url);
  }

  async rows(text: string): Promise<Record<string, unknown>[]> {
    return (await this.#pool.query<Record<string, unknown>>(text)).rows;
  }

  async one(text: string, values: unknown[] = []): Promise<Record<string, unknown>> {
    return (await this.#pool.query<Record<string, unknown>>(text, values)).rows[0] ?? {};
  }

  async #noteInterrupted(): Promise<void> {
    const found = await this.rows(
      `select message_id from outbox_inbox.attempts a
       where (runner is not null or deaths > 0) and not exists (select from effects e where e.message_id = a.message_id)`,
    );
    this.#interrupted = found.map((row) => String(row['message_id']));
  }

  async #spawn() {
    const program = join(import.meta.dirname, 'consumer.mjs');
    const told = JSON.stringify({ databaseUrl: this.#postgres.url, from: this.#queue.from, concurrency });
    const child = spawn(process.execPath, [program, told], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    await Promise.race([ended, new Promise((resolve) => child.stdout.once('data', resolve))]);
    return {
      hasEnded: () => child.exitCode !== null || child.signalCode !== null,
      kill: async () => {
        child.kill('SIGKILL');
        await ended;
      },
    };
  }

  async #close(): Promise<void> {
    await this.#consumer?.kill();
    await this.#pool.end();
    await this.#postgres.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** At the same port each time, with the same data. */
function launchPostgres(directory: string, port: number): Promise<EmbeddedPostgres> {
  return startPostgres({ dataDir: join(directory, 'postgres'), ...(port === 0 ? {} : { port }) });
}

function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 2 });
  pool.on('error', () => undefined);
  return pool;
}
