import { performance } from 'node:perf_hooks';
import type { Log } from '../../activities/index.ts';
import { shareHot } from '../storage/claims.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Lanes } from './lanes.ts';

/** From this share of its time on a thread is full, and below that one it has time to spare. Waiting for answers takes none of it. */
const full = 0.85;
const spare = 0.5;
/** A claim that got so much of what it asked for left more behind, most likely. */
const behind = 0.5;
/** A lane of fewer rows a second than this does not fill a thread: something else does. */
const leastPerSecond = 500;
/** Others go on for so many heartbeats after the last word of the owner. */
const wordsHold = 3;

interface Claimed {
  rows: number;
  rowsOfFull: number;
}

/**
 * Shares a lane that fills this thread with other processes, and takes part in those of others while this one has time to spare. Nothing
 * is split: each claims under the lane's lock, so window, rate and order per key are those of one lane.
 */
export class HotLanes {
  readonly #db: Queryable;
  readonly #relayId: string;
  readonly #lanes: Lanes;
  readonly #log: Log;
  readonly #everyMs: number;
  #before = performance.eventLoopUtilization();
  #passedAt = performance.now();
  #claimed = new Map<string, Claimed>();
  #hot: ReadonlySet<string> = new Set<string>();

  constructor(db: Queryable, relayId: string, lanes: Lanes, log: Log, everyMs: number) {
    this.#db = db;
    this.#relayId = relayId;
    this.#lanes = lanes;
    this.#log = log;
    this.#everyMs = everyMs;
  }

  /** A claim asked for so many rows of a lane and got so many. */
  noteClaim(lane: string, asked: number, rows: number): void {
    const known = this.#claimed.get(lane) ?? { rows: 0, rowsOfFull: 0 };
    known.rows += rows;
    if (rows >= asked * behind) known.rowsOfFull += rows;
    this.#claimed.set(lane, known);
  }

  /** Heartbeat. `unable`: lanes that this process cannot send. */
  async pass(unable: readonly string[]): Promise<void> {
    const now = performance.now();
    const spent = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(spent, this.#before);
    this.#before = spent;
    const hot = this.#lanes.held.filter((lane) => this.#isHot(lane, utilization, now - this.#passedAt));
    this.#claimed = new Map();
    this.#passedAt = now;
    for (const lane of hot)
      if (!this.#hot.has(lane))
        this.#log.info({ lane }, 'this lane fills the process: others may claim for it');
    this.#hot = new Set(hot);
    // What fills a helper is the help: it goes on, unless its own lanes need it.
    const hasTime = hot.length === 0 && (utilization < spare || this.#lanes.helped.length > 0);
    const helped = await shareHot(this.#db, this.#relayId, hot, wordsHold * this.#everyMs, hasTime, unable);
    const before = new Set(this.#lanes.helped);
    await this.#lanes.help(helped);
    for (const lane of helped)
      if (!before.has(lane))
        this.#log.info({ lane }, 'this lane fills the process that owns it: claiming for it');
  }

  /** One that is shared stays so while rows are waiting, as it fills its owner less by that. */
  #isHot(lane: string, utilization: number, ms: number): boolean {
    const { rows, rowsOfFull } = this.#claimed.get(lane) ?? { rows: 0, rowsOfFull: 0 };
    if (rowsOfFull * 2 < rows || rows < (leastPerSecond * ms) / 1_000) return false;
    return utilization >= (this.#hot.has(lane) ? spare : full);
  }
}
