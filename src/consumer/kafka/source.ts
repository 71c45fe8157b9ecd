/** Takes messages as a member of a group, in the order of each partition, and tells the group how far all of them are done with. */
import type { Delivery, Host, Source } from '../type.ts';
import { Held } from '../shared/held.ts';
import { incomingOf } from './delivery.ts';
import { Fetching } from './fetching.ts';
import { Member, type MemberSettings } from './member.ts';
import type { Fetched, Partition } from './partition.ts';

/** Longer ones wait in the consumer's database: meanwhile the group does not get past them. */
const againHereMsMax = 10_000;
const givenBackMs = 1_000;

interface Open {
  readonly member: Member;
  readonly fetching: Fetching;
}

export class KafkaSource implements Source {
  readonly #host: Host;
  readonly #held: Held<Open>;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #closing = new AbortController();
  #here = 0;
  #paused = false;

  constructor(settings: MemberSettings, host: Host) {
    this.#host = host;
    this.#held = new Held<Open>(
      async (lost) => {
        const member = new Member(settings, { lost, changed: () => fetching.look() });
        const fetching = new Fetching(member, {
          trouble: host.trouble,
          working: host.connected,
          fetched: () => this.#handOver(member, fetching),
        });
        try {
          await member.join(this.#closing.signal);
        } catch (error) {
          await member.close();
          throw error;
        }
        host.connected();
        fetching.start(() => this.#paused);
        return { member, fetching };
      },
      async ({ member, fetching }) => {
        fetching.stop();
        await member.close();
      },
      (error) => host.trouble(error),
    );
  }

  start(): Promise<void> {
    return this.#held.start();
  }

  /** The group is not left: its partitions stay ours. */
  pause(): Promise<void> {
    this.#paused = true;
    return Promise.resolve();
  }

  resume(): Promise<void> {
    this.#paused = false;
    this.#goOn();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#held.close();
  }

  #goOn(): void {
    const open = this.#held.now;
    if (open !== undefined) this.#handOver(open.member, open.fetching);
  }

  /** As many as there is room for, of each partition in turn. */
  #handOver(member: Member, fetching: Fetching): void {
    const isFull = (): boolean => this.#paused || this.#here >= this.#host.prefetch;
    for (let found = true; found && !isFull();) {
      found = false;
      for (const partition of member.inTurn()) {
        const taken = isFull() ? undefined : partition.take();
        if (taken === undefined) continue;
        found = true;
        const done = (): void => {
          taken.done();
          member.settled();
        };
        this.#deliver(taken.fetched, partition, done, member.topicId(partition.topic));
      }
    }
    fetching.look();
  }

  #deliver(fetched: Fetched, partition: Partition, done: () => void, topicId: string): void {
    this.#here++;
    let isHere = true;
    const leave = (): void => {
      if (isHere) this.#here--;
      isHere = false;
      this.#goOn();
    };
    const again = async (delayMs: number): Promise<void> => {
      if (partition.lost.aborted || this.#closing.signal.aborted) return leave();
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        if (partition.lost.aborted) leave();
        else this.#host.deliver(delivery);
      }, delayMs);
      this.#timers.add(timer);
    };
    const delivery: Delivery = {
      ...incomingOf(fetched, partition, topicId),
      lost: partition.lost,
      againMsMax: againHereMsMax,
      again,
      acknowledge: async () => {
        done();
        leave();
      },
      // The group has not got past it, so it comes to whoever has the partition next; while that is us, from here.
      giveBack: () => again(givenBackMs),
    };
    this.#host.deliver(delivery);
  }
}
