import { sharedLane } from '../core/sharedLane.ts';
import { holdLanes, keyedLanes, leaveLanes, wakeStranded } from '../storage/claims.ts';
import type { Queryable } from '../storage/connect.ts';

/** Every so often a lane is searched from its beginning: rows that committed late or came back lie below the mark. */
const sweepEveryMs = 1_000;
/**
 * Where order is kept rows come back all the time, one of a key as the one before it is settled. Such a lane is searched from its
 * beginning at each poll, as long as that is cheap: dead index entries, kept by somebody's old transaction, make it dear.
 */
const sweepShare = 0.25;

/**
 * The mark trails by this much: transactions that overlap commit in another order than they took their numbers, and at 1,000 events/s one in
 * a hundred waited for the next search from the beginning, half a second at the median.
 */
const trailMs = 200;

interface Lane {
  /** The largest seq claimed so far, */
  latest: string;
  /** so far when it was looked at before, */
  earlier: string;
  earlierAt: number;
  /** and the time before that: a hint where to look first. */
  mark: string;
  sweptAt: number;
  keyed: boolean;
}

/** With more lanes than this those of quiet destinations share batches. */
export const fewLanes = 16;

/** The lanes are looked at so often even where nothing is known to have changed: somebody may have changed them by hand. */
const lookEveryMs = 10_000;

const newLane = { latest: '0', earlier: '0', earlierAt: 0, mark: '0', sweptAt: 0 };

/** The lanes this relay owns, by leases in the database, and where each was read up to. */
export class Lanes {
  readonly #db: Queryable;
  readonly #relayId: string;
  readonly #label: string;
  readonly #leaseMs: number;
  #lanes = new Map<string, Lane>();
  /** Those of others that this relay claims for, too. */
  #helped = new Map<string, Lane>();
  readonly #shared: Lane = { ...newLane, keyed: false };
  #heldAt = performance.now();
  /** What the lanes were decided by, and when they were looked at. */
  #known: string | null = null;
  #lookedAt = -Infinity;
  /** How long a poll of late took that found nothing. */
  #emptyPollMs = 0;

  constructor(db: Queryable, relayId: string, label: string, leaseMs: number) {
    this.#db = db;
    this.#relayId = relayId;
    this.#label = label;
    this.#leaseMs = leaseMs;
  }

  get held(): string[] {
    return [...this.#lanes.keys()].filter((name) => name !== sharedLane);
  }

  /** Of other relays, whose processes they fill. */
  get helped(): string[] {
    return [...this.#helped.keys()].filter((name) => !this.#lanes.has(name));
  }

  /** Too many to ask for each of them at each poll. */
  get isMany(): boolean {
    return this.#lanes.get(sharedLane) === this.#shared;
  }

  /** Milliseconds since the last heartbeat that was written. */
  get heartbeatMs(): number {
    return performance.now() - this.#heldAt;
  }

  /** Heartbeat: renews, takes over and gives up lanes. `unable`: those that this process cannot send. */
  async hold(unable: readonly string[]): Promise<void> {
    const askedAt = performance.now();
    const known = askedAt - this.#lookedAt < lookEveryMs ? this.#known : null;
    const held = await holdLanes(this.#db, this.#relayId, this.#label, this.#leaseMs, unable, known);
    if (held.lanes !== null) {
      await this.#take(held.lanes);
      this.#lookedAt = askedAt;
    }
    this.#known = held.known;
    this.#heldAt = performance.now();
  }

  /** These lanes of others are to be claimed for, too, and no more than these. */
  async help(names: readonly string[]): Promise<void> {
    if (names.length > 0 || this.#helped.size > 0) this.#helped = await this.#withMarks(names);
  }

  async #take(names: readonly string[]): Promise<void> {
    this.#lanes = await this.#withMarks(names);
    // Where a destination has that very name nothing is shared.
    if (names.length > fewLanes && !names.includes(sharedLane)) this.#lanes.set(sharedLane, this.#shared);
  }

  /** Where each was read up to is kept. */
  async #withMarks(names: readonly string[]): Promise<Map<string, Lane>> {
    const keyed = new Set(await keyedLanes(this.#db));
    return new Map(
      names.map((name) => {
        const known = this.#find(name) ?? newLane;
        return [name, { ...known, keyed: keyed.has(name) }];
      }),
    );
  }

  #find(name: string): Lane | undefined {
    return this.#lanes.get(name) ?? this.#helped.get(name);
  }

  async leave(): Promise<void> {
    this.#lanes.clear();
    this.#helped.clear();
    this.#known = null;
    await leaveLanes(this.#db, this.#relayId);
  }

  /** Where to look in each of the given lanes: above its mark, or from the beginning when a sweep is due. */
  marks(names: readonly string[], nowMs: number): string[] {
    return names.map((name) => {
      const lane = this.#find(name);
      if (lane === undefined) return '0';
      if (nowMs - lane.earlierAt >= trailMs) {
        lane.mark = lane.earlier;
        lane.earlier = lane.latest;
        lane.earlierAt = nowMs;
      }
      const everyMs = lane.keyed ? Math.min(this.#emptyPollMs / sweepShare, sweepEveryMs) : sweepEveryMs;
      if (nowMs - lane.sweptAt < everyMs) return lane.mark;
      lane.sweptAt = nowMs;
      return '0';
    });
  }

  /** The next look is from the beginning. */
  sweepSoon(name: string): void {
    const lane = this.#find(name);
    if (lane !== undefined) lane.sweptAt = -Infinity;
  }

  /** Where to look in a lane, as {@link marks} said last. */
  markOf(name: string): string {
    return this.#find(name)?.mark ?? '0';
  }

  /** The next look is above this. */
  skipTo(name: string, seq: string): void {
    const lane = this.#find(name);
    if (lane !== undefined) lane.mark = lane.earlier = lane.latest = seq;
  }

  owns(name: string): boolean {
    return this.#lanes.has(name);
  }

  /** Whether this relay claims for it, as its owner or with its owner. */
  serves(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** A poll that claimed nothing took so long. */
  polledInVain(tookMs: number): void {
    this.#emptyPollMs = tookMs;
  }

  /** Wakes what should wait for nobody any more. */
  async wakeStranded(): Promise<number> {
    const keyed = [...this.#lanes].filter(([, lane]) => lane.keyed).map(([name]) => name);
    return keyed.length === 0 ? 0 : wakeStranded(this.#db, keyed);
  }

  advance(name: string, seq: string): void {
    const lane = this.#find(name);
    if (lane !== undefined && BigInt(seq) > BigInt(lane.latest)) lane.latest = seq;
  }
}
