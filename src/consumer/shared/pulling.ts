/** Sources that are asked for messages: as many as there is room for, whatever is at work extended in time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Delivery, Host, Source } from '../type.ts';
import { Held } from './held.ts';

/** One delivery, and how the broker is told that it is still at work. */
export interface Pulled extends Delivery {
  readonly extend: () => Promise<unknown>;
}

export interface Pull<Connection> {
  /** Connects, and makes sure of what is named. `lost` is to be called when it broke. */
  open(lost: (error?: unknown) => void): Promise<Connection>;
  /** So many at most, handed over as they come, for a second or so; `signal` is aborted when none is wanted any more. */
  receive(
    connection: Connection,
    room: number,
    deliver: (pulled: Pulled) => void,
    signal: AbortSignal,
  ): Promise<void>;
  end(connection: Connection): Promise<unknown>;
  /** How often what is at work is extended. */
  readonly extendEveryMs: number;
}

interface Taking<Connection> {
  readonly connection: Connection;
  ended: boolean;
}

export class PullingSource<Connection> implements Source {
  readonly #pull: Pull<Connection>;
  readonly #host: Host;
  readonly #held: Held<Taking<Connection>>;
  #here = 0;
  #closed = false;
  /** While nothing is wanted: resolves when it is again. */
  #gate: { readonly opened: Promise<void>; readonly open: () => void } | undefined;
  #receiving = new AbortController();
  /** A few are asked for at a time, not one by one; never so many that somebody could be at work meanwhile and nothing is here. */
  readonly #roomMin: number;
  #roomAgain: () => void = () => undefined;

  constructor(pull: Pull<Connection>, host: Host) {
    this.#pull = pull;
    this.#host = host;
    this.#roomMin = Math.max(1, Math.min(Math.ceil(host.prefetch / 4), host.prefetch - host.concurrency));
    this.#held = new Held<Taking<Connection>>(
      async (lost) => {
        const taking = { connection: await pull.open(lost), ended: false };
        host.connected();
        void this.#receiveAll(taking).catch(lost);
        return taking;
      },
      async (taking) => {
        taking.ended = true;
        await pull.end(taking.connection);
      },
      (error) => host.trouble(error),
    );
  }

  start(): Promise<void> {
    return this.#held.start();
  }

  pause(): Promise<void> {
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    this.#gate ??= { opened, open };
    this.#receiving.abort();
    return Promise.resolve();
  }

  resume(): Promise<void> {
    this.#receiving = new AbortController();
    this.#gate?.open();
    this.#gate = undefined;
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#gate?.open();
    this.#roomAgain();
    await this.#held.close();
  }

  async #receiveAll(taking: Taking<Connection>): Promise<void> {
    while (!this.#closed && !taking.ended) {
      await this.#gate?.opened;
      const room = this.#host.prefetch - this.#here;
      if (room < this.#roomMin) {
        await Promise.race([new Promise<void>((resolve) => (this.#roomAgain = resolve)), sleep(1000)]);
        continue;
      }
      if (this.#closed || taking.ended) return;
      const { signal } = this.#receiving;
      try {
        await this.#pull.receive(taking.connection, room, (pulled) => this.#deliver(pulled), signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  #deliver(pulled: Pulled): void {
    this.#here++;
    const extending = setInterval(
      () => void pulled.extend().catch(() => undefined),
      this.#pull.extendEveryMs,
    );
    let settled = false;
    const settle = async (work: () => Promise<unknown>): Promise<unknown> => {
      clearInterval(extending);
      try {
        return await work();
      } finally {
        if (!settled) this.#here--;
        settled = true;
        this.#roomAgain();
      }
    };
    const { again } = pulled;
    this.#host.deliver({
      headers: pulled.headers,
      body: pulled.body,
      contentType: pulled.contentType,
      brokerId: pulled.brokerId,
      key: pulled.key,
      position: pulled.position,
      acknowledge: () => settle(() => pulled.acknowledge()),
      giveBack: () => settle(() => pulled.giveBack()),
      again: again === null ? null : (delayMs) => settle(() => again(delayMs)),
    });
  }
}
