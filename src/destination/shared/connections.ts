/**
 * The connections of this process: one for each server and credentials, however many destinations use it. Fifty topics of one
 * broker are one connection.
 */
export class Connections {
  readonly #open = new Map<string, Counted>();

  /**
   * The connection under `key`, made by `open` where there is none yet. The key names type, server and credentials; it stays in
   * memory. What is opened connects by itself when it is needed, and again when it broke: it is asked for once only.
   */
  use<Connection>(
    key: string,
    open: () => Connection,
    close: (connection: Connection) => Promise<unknown> | void,
  ): Lease<Connection> {
    const known = this.#open.get(key);
    const counted = known ?? { connection: open(), users: 0 };
    if (known === undefined) this.#open.set(key, counted);
    counted.users++;
    let released = false;
    return {
      connection: counted.connection as Connection,
      release: async () => {
        if (released) return;
        released = true;
        if (--counted.users > 0) return;
        if (this.#open.get(key) === counted) this.#open.delete(key);
        await close(counted.connection as Connection);
      },
    };
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }
}

interface Counted {
  readonly connection: unknown;
  users: number;
}

export interface Lease<Connection> {
  readonly connection: Connection;
  /** Closes the connection when nobody else uses it. Any number of calls. */
  release(): Promise<void>;
}
