/** What a row plays on: a queue, a database with an inbox, and consumers in this process and in others. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Consumer, ConsumerOptions } from '../../consumer/index.ts';
import { migrateInbox } from '../../inbox/index.ts';
import { schema, startTestConsumer, type Asked } from './handler.ts';
import type { ConsumerServer, PutMessage, TestQueue } from './harness.ts';

/** Of a consumer's connections in this process. */
export const consumerApplication = 'consumer of the suite';

export type TestOptions = Omit<ConsumerOptions, 'pool' | 'handler' | 'from' | 'consumer'>;

export interface ConsumerProcess {
  readonly ended: Promise<void>;
  kill(): Promise<void>;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>;
}

export class ConsumerPlay {
  readonly server: ConsumerServer;
  readonly queue: TestQueue;
  readonly databaseUrl: string;
  readonly pool: pg.Pool;
  readonly #ends: (() => Promise<unknown>)[] = [];

  constructor(server: ConsumerServer, queue: TestQueue, databaseUrl: string) {
    this.server = server;
    this.queue = queue;
    this.databaseUrl = databaseUrl;
    this.pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
    this.pool.on('error', () => undefined);
  }

  async prepare(): Promise<void> {
    await migrateInbox(this.pool);
    await this.pool.query(schema);
  }

  /** In this process. */
  async consume(options: TestOptions = {}): Promise<Consumer> {
    const pool = new pg.Pool({
      connectionString: this.databaseUrl,
      max: 12,
      connectionTimeoutMillis: 5_000,
      application_name: consumerApplication,
    });
    const consumer = startTestConsumer(pool, this.pool, {
      from: this.queue.from,
      consumer: 'test',
      ...options,
    });
    this.#ends.push(async () => {
      await consumer.stop();
      await pool.end();
    });
    await consumer.ready;
    return consumer;
  }

  /** In a process of its own. */
  async spawn(options: TestOptions = {}): Promise<ConsumerProcess> {
    const { databaseUrl, queue } = this;
    const told = JSON.stringify({ databaseUrl, from: queue.from, consumer: 'test', ...options });
    const child = spawn(process.execPath, [program(), told], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
    const end = (signal: NodeJS.Signals) => async (): Promise<void> => {
      child.kill(signal);
      await ended;
    };
    this.#ends.push(end('SIGKILL'));
    await Promise.race([ended, saysALine(child)]);
    return { ended, kill: end('SIGKILL'), stop: end('SIGTERM') };
  }

  async rows<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.pool.query(text, values)).rows as Row[];
  }

  /** In the order of the effects. */
  async effects(): Promise<number[]> {
    return (await this.rows<{ n: number }>('select n from effects order by number')).map(({ n }) => n);
  }

  async calls(n: number): Promise<number> {
    const [row] = await this.rows<{ count: number }>(
      'select count(*)::int as count from calls where n = $1',
      [n],
    );
    return row?.count ?? 0;
  }

  async end(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
    await this.pool.end();
  }
}

/** The compiled one beside, or that of the package's dist where the sources run as they are. */
function program(): string {
  const beside = fileURLToPath(new URL('./process.js', import.meta.url));
  return existsSync(beside) ? beside : beside.replace('/src/testing/', '/dist/src/testing/');
}

function saysALine(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.stdout?.once('data', () => resolve()));
}

/** As our sender would put it. */
export function message(asked: Asked, { id = uuid7(), key = null as string | null } = {}): PutMessage {
  return {
    headers: {
      'webhook-id': id,
      'outbox-event-type': 'test.asked',
      ...(key === null ? {} : { 'outbox-key': key }),
    },
    key,
    contentType: 'application/json',
    body: Buffer.from(JSON.stringify(asked)),
  };
}

export function uuid7(): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Until it no longer throws; what it last threw when time is up. */
export async function until<T>(look: () => Promise<T>, timeoutMs = 30_000): Promise<T> {
  for (const deadline = Date.now() + timeoutMs; ;) {
    try {
      return await look();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
