import { holdLanes, leaveLanes } from '../storage/claims.ts';
import type { Queryable } from '../storage/connect.ts';

/** Every so often a lane is searched from its beginning: rows that committed late or came back lie below the mark. */
const sweepEveryMs = 1_000;

interface Lane {
  /** The largest seq claimed so far; a hint where to look first. */
  mark: string;
  sweptAt: number;
}

/** The lanes this relay owns, by leases in the database, and where each was read up to. */
export class Lanes {
  readonly #db: Queryable;
  readonly #relayId: string;
  readonly #label: string;
  readonly #leaseMs: number;
  #lanes = new Map<string, Lane>();
  #heldAt = performance.now();

  constructor(db: Queryable, relayId: string, label: string, leaseMs: number) {
    this.#db = db;
    this.#relayId = relayId;
    this.#label = label;
    this.#leaseMs = leaseMs;
  }

  get held(): string[] {
    return [...this.#lanes.keys()];
  }

  /** Milliseconds since the last heartbeat that was written. */
  get heartbeatMs(): number {
    return performance.now() - this.#heldAt;
  }

  /** Heartbeat: renews, takes over and gives up lanes. */
  async hold(): Promise<void> {
    const names = await holdLanes(this.#db, this.#relayId, this.#label, this.#leaseMs);
    this.#lanes = new Map(names.map((name) => [name, this.#lanes.get(name) ?? { mark: '0', sweptAt: 0 }]));
    this.#heldAt = performance.now();
  }

  async leave(): Promise<void> {
    this.#lanes.clear();
    await leaveLanes(this.#db, this.#relayId);
  }

  /** Where to look in each of the given lanes: above its mark, or from the beginning when a sweep is due. */
  marks(names: readonly string[], nowMs: number): string[] {
    return names.map((name) => {
      const lane = this.#lanes.get(name);
      if (lane === undefined) return '0';
      if (nowMs - lane.sweptAt < sweepEveryMs) return lane.mark;
      lane.sweptAt = nowMs;
      return '0';
    });
  }

  advance(name: string, seq: string): void {
    const lane = this.#lanes.get(name);
    if (lane !== undefined && BigInt(seq) > BigInt(lane.mark)) lane.mark = seq;
  }
}
