/** Fetches for the partitions that are ours and want more, one request at a time to each broker. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isStale, kafkaFailure } from '../../destination/kafka/answers.ts';
import { untilDeadline } from '../../destination/shared/untilDeadline.ts';
import type { Member } from './member.ts';
import type { Partition } from './partition.ts';
import { outOfRange } from './answers.ts';

export interface FetchingHooks {
  /** It fails, and is tried again. */
  readonly trouble: (error: unknown) => void;
  /** It works again. */
  readonly working: () => void;
  readonly fetched: () => void;
}

/** A request that finds nothing waits so long at the broker. */
const waitMs = 500;
/** A broker that says nothing for so long is given up. */
const silentMs = 15_000;
const pauseMsMax = 2_000;

export class Fetching {
  readonly #member: Member;
  readonly #hooks: FetchingHooks;
  /** Brokers that are being asked. */
  readonly #asked = new Set<number>();
  readonly #stopping = new AbortController();
  #isPaused: () => boolean = () => true;
  #pauseMs = 0;

  constructor(member: Member, hooks: FetchingHooks) {
    this.#member = member;
    this.#hooks = hooks;
  }

  start(isPaused: () => boolean): void {
    this.#isPaused = isPaused;
    this.look();
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Whether there is something to ask for. */
  look(): void {
    if (this.#stopping.signal.aborted || this.#isPaused()) return;
    const byLeader = new Map<number, Partition[]>();
    for (const partition of this.#member.inTurn()) {
      const leader = this.#member.leaderOf(partition);
      if (!partition.wantsMore || this.#asked.has(leader)) continue;
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition]);
    }
    for (const [leader, partitions] of byLeader) {
      this.#asked.add(leader);
      void this.#fetch(leader, partitions).finally(() => {
        this.#asked.delete(leader);
        if (!this.#stopping.signal.aborted) this.#hooks.fetched();
      });
    }
  }

  async #fetch(leader: number, partitions: readonly Partition[]): Promise<void> {
    const member = this.#member;
    try {
      const fetching = member.fetch(leader, partitions, waitMs);
      await untilDeadline(fetching, silentMs, { said: member.label, late: () => member.lost() });
      if (this.#pauseMs > 0) this.#hooks.working();
      this.#pauseMs = 0;
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const gone = outOfRange(error, partitions, (topic) => member.topicId(topic));
      if (gone.length > 0) await this.#goOn(gone);
      else {
        if (this.#pauseMs === 0)
          this.#hooks.trouble(kafkaFailure(error, { said: member.label, isConstant: true }));
        this.#pauseMs = Math.min(Math.max(100, this.#pauseMs * 2), pauseMsMax);
      }
      // Unless the leaders are asked for again, the same broker is asked for ever.
      if (isStale(error) || this.#pauseMs > 0) await member.learn().catch(() => undefined);
      await sleep(this.#pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  /** Where the server deleted what was to come, nothing brings it back: from the first that there is, and it is told. */
  async #goOn(partitions: readonly Partition[]): Promise<void> {
    for (const partition of partitions) {
      const { topic, number, next } = partition;
      const first = await this.#member.edgeOf(topic, number, 'earliest').catch(() => null);
      if (first === null || partition.lost.aborted) continue;
      partition.goOnFrom(first);
      this.#hooks.trouble(
        new Error(`${topic}[${number}]: the server has no offset ${next} any more; going on from ${first}`),
      );
    }
  }
}
