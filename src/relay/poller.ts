import type { Log } from '../../activities/index.ts';
import type { Telemetry } from '../core/telemetry.ts';
import { claimBatches, claimOpenBatches, promoteDue } from '../storage/claims.ts';
import { chunk } from '../storage/attempts.ts';
import { failpoint } from '../failpoints.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Handover } from '../worker/handover.ts';
import { inShort, isSaidByServer } from '../storage/errors.ts';
import type { Lanes } from './lanes.ts';
import { SickLanes } from './sickLanes.ts';
import type { Starter } from './starter.ts';

/** A batch counts against its lane's `inFlight` only while younger than this. */
const slowAfterMs = 1_000;
/** After the last claim the relay polls at the busy pace for so long. */
const busyForMs = 1_000;
/**
 * After a claim of few rows a lane rests until they have come through, but no longer than this: what arrives meanwhile shares the next
 * workflow. At 100 events/s that is two thirds of the workflows, and each event arrives sooner, as a start costs more than the wait.
 */
const restMs = 30;
const fewRows = 100;
const failureDelayMs = { first: 100, maximum: 5_000 };
/** So many failing rounds in a row are a moment's trouble. */
const fewRounds = 3;
const promoteEveryMs = 250;
const promoteAtOnce = 1_000;

/** `lanes`: null for all of them. */
export interface PollTrouble {
  readonly lanes: readonly string[] | null;
  readonly forMs: number;
  readonly says: string;
}

/** Asks for work, at a pace that follows the load, and hands what it claims to the starter. */
export class Poller {
  readonly #db: Queryable;
  readonly #relayId: string;
  readonly #lanes: Lanes;
  readonly #starter: Starter;
  readonly #log: Log;
  readonly #pollMs: { readonly busy: number; readonly idle: number };
  readonly #handover: Handover | undefined;
  readonly #telemetry: Telemetry;
  #stopping = false;
  #polling: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  #lastClaimAt = -Infinity;
  #lastPromotionAt = -Infinity;
  readonly #restsUntil = new Map<string, number>();
  #failures = 0;
  #failingSince: number | undefined;
  #says = '';
  readonly #sick = new SickLanes();
  #roundAt = performance.now();

  constructor(
    db: Queryable,
    relayId: string,
    lanes: Lanes,
    starter: Starter,
    log: Log,
    pollMs: { readonly busy: number; readonly idle: number },
    handover: Handover | undefined,
    telemetry: Telemetry,
  ) {
    this.#telemetry = telemetry;
    this.#handover = handover;
    this.#db = db;
    this.#relayId = relayId;
    this.#lanes = lanes;
    this.#starter = starter;
    this.#log = log;
    this.#pollMs = pollMs;
  }

  /** Milliseconds since the last round ended, well or not: a loop that hangs shows here. */
  get silentMs(): number {
    return performance.now() - this.#roundAt;
  }

  /** Why nothing, or nothing of some lanes, has been claimed for more than a few rounds; undefined while all is well. */
  get trouble(): PollTrouble | undefined {
    const lanes = this.#sick.names;
    if (this.#failures >= fewRounds && this.#failingSince !== undefined)
      return { lanes: null, forMs: performance.now() - this.#failingSince, says: this.#says };
    return lanes.length === 0 ? undefined : { lanes, ...this.#sick.worst() };
  }

  start(): void {
    this.#polling = this.#run();
  }

  /** Rows of this lane came through: it rests no longer. */
  progressed(lane: string): void {
    this.#restsUntil.delete(lane);
    this.#pollNow();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#pollNow();
    await this.#polling;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#woken = false;
      const pauseMs = await this.#poll().then(
        (claimed) => this.#paceAfter(claimed),
        (error: unknown) => this.#backOff(error),
      );
      this.#roundAt = performance.now();
      if (pauseMs > 0 && !this.#woken) await this.#pause(pauseMs);
    }
  }

  /** Answers how many batches were claimed. */
  async #poll(): Promise<number> {
    const now = performance.now();
    if (now - this.#lastPromotionAt >= promoteEveryMs) {
      const promoted = await promoteDue(this.#db, promoteAtOnce);
      // As many as were asked for: more are waiting, and the next poll goes on.
      this.#lastPromotionAt = promoted < promoteAtOnce ? now : -Infinity;
    }
    const lanes = this.#lanes.held.filter((lane) => !this.#rests(lane, now) && !this.#starter.isHeldUp(lane));
    this.#sick.keepOnly(this.#lanes.held);
    const well = lanes.filter((lane) => !this.#sick.has(lane));
    let claimed = well.length === 0 ? 0 : await this.#claimTogether(well, now);
    for (const lane of lanes) if (this.#sick.isDue(lane, now)) claimed += await this.#claimAlone(lane, now);
    return claimed;
  }

  /** Where the claim of all fails, each lane is asked for alone: what is wrong with one holds up no other. */
  async #claimTogether(lanes: readonly string[], now: number): Promise<number> {
    try {
      return await this.#claim(lanes, now);
    } catch (error) {
      if (lanes.length === 1 || !isSaidByServer(error)) throw error;
      let claimed = 0;
      for (const lane of lanes) claimed += await this.#claimAlone(lane, now);
      if (!lanes.every((lane) => this.#sick.has(lane))) return claimed;
      // All of them: it is not one lane's trouble.
      this.#sick.keepOnly([]);
      throw error;
    }
  }

  async #claimAlone(lane: string, now: number): Promise<number> {
    try {
      const claimed = await this.#claim([lane], now);
      if (this.#sick.recovered(lane)) this.#log.info({ lane }, 'claiming works again');
      return claimed;
    } catch (error) {
      if (!isSaidByServer(error)) throw error;
      if (this.#sick.failed(lane, inShort(error), now))
        this.#log.warn({ lane, error: inShort(error) }, 'claiming of this lane failed; trying again');
      return 0;
    }
  }

  /** Answers how many batches were claimed. */
  async #claim(lanes: readonly string[], now: number): Promise<number> {
    const marks = this.#lanes.marks(lanes, now);
    const askedAt = performance.now();
    const batches =
      this.#handover === undefined
        ? await claimBatches(this.#db, this.#relayId, lanes, marks, slowAfterMs)
        : await claimOpenBatches(this.#db, this.#relayId, lanes, marks, slowAfterMs, chunk);
    if (batches.length === 0) this.#lanes.polledInVain(performance.now() - askedAt);
    this.#telemetry.polled(performance.now() - askedAt);
    if (batches.length > 0) await failpoint('after-claim');
    for (const batch of batches) {
      this.#telemetry.claimed(batch.size);
      this.#lanes.advance(batch.lane, batch.lastSeq);
      if (batch.opened !== null) this.#handover?.put(batch.workflowId, batch.opened, askedAt);
      // Of a worker in another process nobody tells how far it is.
      if (this.#handover !== undefined && batch.size < fewRows)
        this.#restsUntil.set(batch.lane, now + restMs);
      this.#starter.start(batch);
    }
    return batches.length;
  }

  #rests(lane: string, now: number): boolean {
    const until = this.#restsUntil.get(lane);
    if (until === undefined) return false;
    if (now < until) return true;
    this.#restsUntil.delete(lane);
    return false;
  }

  #pollNow(): void {
    this.#woken = true;
    this.#wake?.();
  }

  #paceAfter(claimed: number): number {
    if (this.#failures > 0) this.#log.info({}, 'polling works again');
    this.#failures = 0;
    this.#failingSince = undefined;
    const now = performance.now();
    if (claimed > 0) this.#lastClaimAt = now;
    return now - this.#lastClaimAt < busyForMs ? this.#pollMs.busy : this.#pollMs.idle;
  }

  #backOff(error: unknown): number {
    this.#says = inShort(error);
    this.#failingSince ??= performance.now();
    if (this.#failures++ === 0) this.#log.warn({ error: this.#says }, 'polling failed; trying again');
    return Math.min(failureDelayMs.first * 2 ** this.#failures, failureDelayMs.maximum);
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
