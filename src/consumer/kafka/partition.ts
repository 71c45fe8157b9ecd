/** One partition that is ours: what was fetched and not handed over, what is at work, and below which offset all is done with. */
import type { KafkaRecord } from '@platformatic/kafka';

export interface Fetched {
  readonly offset: bigint;
  readonly record: KafkaRecord;
}

interface Open {
  readonly offset: bigint;
  done: boolean;
}

/** More is not fetched before these are handed over. */
const waitingMax = 500;
/** Those behind one that takes long are handed over, but for so many: after a restart they all come again. */
const openMax = 10_000;

export class Partition {
  readonly topic: string;
  readonly number: number;
  readonly #losing = new AbortController();
  /** In the order of their offsets, the first of them not done. */
  readonly #open: Open[] = [];
  #waiting: Fetched[] = [];
  #next: bigint;
  #committed: bigint;

  /** @param from where the group stands */
  constructor(topic: string, number: number, from: bigint) {
    this.topic = topic;
    this.number = number;
    this.#next = from;
    this.#committed = from;
  }

  /** Aborted when it is somebody else's: what lies in it is not begun any more. */
  get lost(): AbortSignal {
    return this.#losing.signal;
  }

  /** Where to fetch from. */
  get next(): bigint {
    return this.#next;
  }

  get wantsMore(): boolean {
    return this.#waiting.length < waitingMax;
  }

  /** All below are done with. */
  get upTo(): bigint {
    return this.#open[0]?.offset ?? this.#waiting[0]?.offset ?? this.#next;
  }

  /** Whether the group has to be told how far it is. */
  get isAhead(): boolean {
    return this.upTo > this.#committed;
  }

  /** @param next behind the last that was looked at, also where that holds no message */
  fetched(records: readonly Fetched[], next: bigint): void {
    this.#waiting.push(...records);
    this.#next = next;
  }

  /** What lay between was deleted by the server. */
  goOnFrom(offset: bigint): void {
    this.#next = offset;
    this.#committed = -1n;
  }

  /** The next to be handed over, and what tells that it is done with. */
  take(): { readonly fetched: Fetched; readonly done: () => void } | undefined {
    if (this.#open.length >= openMax) return undefined;
    const fetched = this.#waiting.shift();
    if (fetched === undefined) return undefined;
    const open: Open = { offset: fetched.offset, done: false };
    this.#open.push(open);
    const done = (): void => {
      open.done = true;
      while (this.#open[0]?.done === true) this.#open.shift();
    };
    return { fetched, done };
  }

  committed(offset: bigint): void {
    this.#committed = offset;
  }

  lose(): void {
    this.#waiting = [];
    this.#losing.abort();
  }
}
