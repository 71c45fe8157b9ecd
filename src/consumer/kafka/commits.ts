/** Tells the group how far each partition is: soon after something is done with, for all of them at once. */
import type { Consumer } from '@platformatic/kafka';
import type { Partition } from './partition.ts';

const commitEveryMs = 200;
const commitAgainMs = 1_000;

export class Commits {
  readonly #partitions: () => Iterable<Partition>;
  #timer: NodeJS.Timeout | undefined;
  #under: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(partitions: () => Iterable<Partition>) {
    this.#partitions = partitions;
  }

  /** Soon; while the group divides its partitions anew there is nobody to tell. */
  soon(client: Consumer, isJoining: () => boolean, inMs = commitEveryMs): void {
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => {
      if (isJoining()) return this.#later(client, isJoining);
      void this.now(client).then((told) => told || this.#later(client, isJoining));
    }, inMs);
  }

  /** Never throws: what the group is not told comes again, and is known then. Answers whether all is told. */
  now(client: Consumer): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const telling = this.#under.then(() => this.#tell(client));
    this.#under = telling.then(() => undefined);
    return telling;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #later(client: Consumer, isJoining: () => boolean): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.soon(client, isJoining, commitAgainMs);
  }

  async #tell(client: Consumer): Promise<boolean> {
    const told = [...this.#partitions()]
      .filter(({ isAhead }) => isAhead)
      .map((partition) => ({ partition, offset: partition.upTo }));
    if (told.length === 0) return true;
    try {
      await client.commit({
        offsets: told.map(({ partition: { topic, number }, offset }) => ({
          ...{ topic, partition: number, offset, leaderEpoch: -1 },
        })),
      });
    } catch {
      return false;
    }
    for (const { partition, offset } of told) partition.committed(offset);
    return true;
  }
}
