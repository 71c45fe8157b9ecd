/** Certificates, keys and API keys that are renewed on disk: a new connection takes the place of the one before, under the same client and workers. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { NativeConnection, type NativeConnectionOptions, type Worker } from '@temporalio/worker';
import type { Log } from '../../activities/index.ts';
import { firstLine } from '../core/firstLine.ts';

export interface RenewingOptions {
  /** Reads the files anew; throws where one is not there at the moment. */
  readonly read: () => NativeConnectionOptions;
  readonly everyMs: number;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/** What a worker asked for on the connection before may take so long. */
const retiredAfterMs = 90_000;

export class RenewingConnection {
  /** Is whichever connection is current. A call that a deadline was set for ends on the one that it began on. */
  readonly standIn: NativeConnection;
  readonly #options: RenewingOptions;
  readonly #workers = new Set<Worker>();
  readonly #retired = new Map<NativeConnection, NodeJS.Timeout>();
  readonly #timer: NodeJS.Timeout | undefined;
  #current: NativeConnection;
  #mark: string;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(first: NativeConnection, options: RenewingOptions, used: NativeConnectionOptions) {
    this.#options = options;
    this.#current = first;
    this.#mark = markOf(used);
    this.standIn = standInFor(() => this.#current);
    if (!used.tls && used.apiKey === undefined) return;
    const again = (): void => void (this.#looking = this.#looking.then(() => this.#look()));
    this.#timer = setInterval(again, options.everyMs).unref();
  }

  static async connect(options: RenewingOptions): Promise<RenewingConnection> {
    const used = options.read();
    return new RenewingConnection(await NativeConnection.connect(used), options, used);
  }

  /** Makes a worker on the connection of this moment, and gives it those that follow. */
  async withWorker(make: (connection: NativeConnection) => Promise<Worker>): Promise<Worker> {
    const worker = await make(this.#current);
    worker.connection = this.#current;
    this.#workers.add(worker);
    return worker;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#looking;
    for (const [connection, timer] of this.#retired) {
      clearTimeout(timer);
      await connection.close();
    }
    await this.#current.close();
  }

  async #look(): Promise<void> {
    const { log, read } = this.#options;
    try {
      const options = read();
      const mark = markOf(options);
      if (this.#closed || mark === this.#mark) return;
      this.#take(await NativeConnection.connect(options), mark);
      log.info({}, 'connected to Temporal anew: its certificates or keys were renewed');
    } catch (error) {
      // Half of a pair is written, or what was written is not taken: what is in use may be good for a while yet.
      log.warn(
        { error: firstLine(error) },
        'renewed certificates or keys do not get in to Temporal: those of before are used',
      );
    }
  }

  #take(next: NativeConnection, mark: string): void {
    const before = this.#current;
    this.#current = next;
    this.#mark = mark;
    for (const worker of this.#workers) {
      if (['INITIALIZED', 'RUNNING'].includes(worker.getState())) worker.connection = next;
      else this.#workers.delete(worker);
    }
    const retire = async (): Promise<void> => {
      this.#retired.delete(before);
      // One that ends on it holds it until it has.
      await before.close().catch(() => undefined);
    };
    this.#retired.set(before, setTimeout(() => void retire(), retiredAfterMs).unref());
  }
}

/** Of what is renewed; an address that changed would be another server. */
function markOf({ tls, apiKey, metadata }: NativeConnectionOptions): string {
  return createHash('sha256')
    .update(JSON.stringify([tls, apiKey, metadata]))
    .digest('hex');
}

/** Deadlines and the like are kept by the connection that they were set on. */
const begunOn = new AsyncLocalStorage<NativeConnection>();
const scopes = ['withDeadline', 'withMetadata', 'withAbortSignal'];

function standInFor(current: () => NativeConnection): NativeConnection {
  return new Proxy(Object.create(NativeConnection.prototype) as NativeConnection, {
    get: (_, name) => {
      const connection = begunOn.getStore() ?? current();
      const value: unknown = Reflect.get(connection, name, connection);
      if (typeof value !== 'function') return value;
      const bound = value.bind(connection) as (...args: unknown[]) => unknown;
      if (!scopes.includes(String(name))) return bound;
      return (...args: unknown[]) => begunOn.run(connection, () => bound(...args));
    },
  });
}
