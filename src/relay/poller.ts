import type { Log } from '../../activities/index.ts';
import type { Telemetry } from '../core/telemetry.ts';
import {
  claimBatches,
  claimRows,
  promoteDue,
  traceHeadersIn,
  type Ask,
  type ClaimedBatch,
} from '../storage/claims.ts';
import { chunk } from '../storage/attempts.ts';
import { failpoint } from '../failpoints.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Handover } from '../worker/handover.ts';
import type { Intake } from '../worker/intake.ts';
import { over } from '../worker/intakes.ts';
import { inShort, isSaidByServer } from '../storage/errors.ts';
import type { HotLanes } from './hotLanes.ts';
import type { Lanes } from './lanes.ts';
import { sharedLane } from '../core/sharedLane.ts';
import { SharedClaims } from './sharedClaims.ts';
import { SickLanes } from './sickLanes.ts';
import type { Starter } from './starter.ts';
import { claimsAreTraced, linksMost, traceClaim, traceJoined } from '../tracing/claim.ts';

/** A batch counts against its lane's `inFlight` only while younger than this. */
const slowAfterMs = 1_000;
/** After the last claim the relay polls at the busy pace for so long. */
const busyForMs = 1_000;
/**
 * After a claim of few rows a lane rests until their batch is open and takes in what arrived meanwhile, but no longer than this: it may be
 * with another process.
 */
const restMs = 100;
const fewRows = 100;
const failureDelayMs = { first: 100, maximum: 5_000 };
/** So many failing rounds in a row are a moment's trouble. */
const fewRounds = 3;
/** After a failing claim of many lanes together. */
const apartForMs = 5_000;
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
  readonly #hotLanes: HotLanes;
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
  readonly #shared: SharedClaims;

  constructor(
    db: Queryable,
    relayId: string,
    lanes: Lanes,
    hotLanes: HotLanes,
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
    this.#hotLanes = hotLanes;
    this.#starter = starter;
    this.#log = log;
    this.#pollMs = pollMs;
    this.#shared = new SharedClaims(db, relayId, lanes, starter, handover, (rows) => telemetry.claimed(rows));
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
    this.#handover?.intakes.feedBy({
      serves: (lane) => this.#lanes.serves(lane),
      opened: (lane) => this.progressed(lane),
    });
    this.#polling = this.#run();
  }

  /** Rows of this lane came through: it rests no longer. */
  progressed(lane: string): void {
    if (this.#lanes.isMany) this.#shared.stir(lane);
    this.#restsUntil.delete(lane);
    this.#pollNow();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#pollNow();
    await this.#polling;
    this.#handover?.intakes.feedBy(undefined);
    this.#handover?.intakes.closeLost();
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
    this.#handover?.intakes.closeLost();
    if (this.#lanes.isMany) return this.#pollMany(now);
    return this.#pollEach([...this.#lanes.held, ...this.#lanes.helped], now);
  }

  async #pollEach(held: readonly string[], now: number): Promise<number> {
    this.#sick.keepOnly(held);
    const well = held.filter((lane) => !this.#sick.has(lane));
    let claimed = well.length === 0 ? 0 : await this.#claimTogether(well, now);
    for (const lane of held) if (this.#sick.isDue(lane, now)) claimed += await this.#claimAlone(lane, now);
    return claimed;
  }

  /** Those that are quiet together, the others each for itself. */
  async #pollMany(now: number): Promise<number> {
    const askedAt = performance.now();
    const round = await this.#shared.round(now, !this.#rests(sharedLane, now)).catch((error: unknown) => {
      if (!isSaidByServer(error)) throw error;
      // It may be one lane's trouble.
      this.#log.warn({ error: inShort(error) }, 'claiming of many lanes failed: each is asked for alone');
      this.#shared.partFor(apartForMs);
      return null;
    });
    if (round === null) return 0;
    this.#telemetry.polled(performance.now() - askedAt);
    if (round.claimed > 0) await failpoint('after-claim');
    if (round.batch !== null) this.#startShared(round.batch, askedAt);
    const ask = [...new Set([...round.ask, ...this.#lanes.helped])];
    if (ask.length === 0) return round.claimed;
    return round.claimed + (await this.#pollEach(ask, now));
  }

  #startShared(batch: ClaimedBatch, askedAt: number): void {
    if (batch.size > 0) this.#handover?.intakes.noteTraffic(batch.lane);
    if (batch.opened !== null) this.#handover?.put(batch.workflowId, batch.opened, askedAt);
    if (batch.size < fewRows) this.#restsUntil.set(batch.lane, askedAt + restMs);
    this.#starter.start(batch, traceBatch(batch, askedAt));
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

  /** Answers how many batches were claimed or joined. */
  async #claim(lanes: readonly string[], now: number): Promise<number> {
    const askedAt = performance.now();
    const claimed = await (this.#handover === undefined
      ? this.#claimBatches(lanes, now)
      : this.#feed(this.#handover, lanes, now));
    if (claimed === null) return 0;
    if (claimed === 0) this.#lanes.polledInVain(performance.now() - askedAt);
    this.#telemetry.polled(performance.now() - askedAt);
    return claimed;
  }

  /** For workers in other processes. Answers how many batches were claimed; null when there was nothing to ask. */
  async #claimBatches(held: readonly string[], now: number): Promise<number | null> {
    const lanes = held.filter((lane) => !this.#starter.isHeldUp(lane));
    if (lanes.length === 0) return null;
    const marks = this.#lanes.marks(lanes, now);
    const askedAt = performance.now();
    const batches = await claimBatches(this.#db, this.#relayId, lanes, marks, slowAfterMs);
    if (batches.length > 0) await failpoint('after-claim');
    for (const batch of batches) {
      // Workers elsewhere send it, so nothing of its events is here; they are asked for only where somebody wants to know.
      if (claimsAreTraced()) await this.#startTraced(batch, askedAt);
      else this.#start(batch, askedAt);
    }
    return batches.length;
  }

  /** For the worker of this process: rows join the batch of their lane that is open, or make a new one. */
  async #feed(handover: Handover, held: readonly string[], now: number): Promise<number | null> {
    const { intakes } = handover;
    const asked = new Map<string, Intake>();
    const asks = held.flatMap((lane) => this.#asksOf(lane, intakes.of(lane), now, asked));
    if (asks.length === 0) return null;
    const askedAt = performance.now();
    for (const intake of asked.values()) intake.asks();
    let claims: Awaited<ReturnType<typeof claimRows>>;
    try {
      claims = await claimRows(this.#db, this.#relayId, asks, slowAfterMs, chunk);
    } catch (error) {
      for (const intake of asked.values()) intake.answered(over(intake.batch));
      throw error;
    }
    const { batches, joined } = claims;
    const limits = new Map(asks.map(({ into, limit }) => [into?.batchId, limit]));
    for (const rows of joined) {
      if (rows.lastSeq !== null) this.#lanes.advance(rows.lane, rows.lastSeq);
      if (rows.rows.length > 0) {
        const count = rows.rows.length + rows.rest.length;
        handover.shared.claimed(rows.lane, count);
        this.#hotLanes.noteClaim(rows.lane, limits.get(rows.batchId) ?? Infinity, count);
        intakes.noteTraffic(rows.lane);
        this.#telemetry.claimed(count);
        traceJoined(rows.lane, rows, askedAt);
      }
    }
    if (batches.length + joined.length > 0) await failpoint('after-claim');
    for (const [batchId, intake] of asked) intake.answered(joined.find((rows) => rows.batchId === batchId));
    for (const batch of batches) {
      const before = intakes.of(batch.lane);
      if (before !== undefined) before.hasSuccessor = true;
      if (batch.size > 0) {
        handover.shared.claimed(batch.lane, batch.size);
        intakes.noteTraffic(batch.lane);
      }
      if (batch.opened !== null) handover.put(batch.workflowId, batch.opened, askedAt);
      if (batch.size < fewRows) this.#restsUntil.set(batch.lane, now + restMs);
      this.#start(batch, askedAt);
    }
    return batches.length + joined.length;
  }

  #asksOf(lane: string, intake: Intake | undefined, now: number, asked: Map<string, Intake>): Ask[] {
    const mayStart = !this.#starter.isHeldUp(lane);
    if (intake === undefined) {
      if (!mayStart || this.#rests(lane, now)) return [];
      return [{ lane, after: this.#mark(lane, now), into: null, limit: null }];
    }
    const asks: Ask[] = [];
    if (mayStart && intake.needsSuccessor && intake.isUsed)
      asks.push({ lane, after: '0', into: null, limit: 0 });
    if (intake.wants > 0) {
      asks.push({ lane, after: this.#mark(lane, now), into: intake.batch, limit: intake.wants });
      asked.set(intake.batch.batchId, intake);
    }
    return asks;
  }

  #mark(lane: string, now: number): string {
    return this.#lanes.marks([lane], now)[0] ?? '0';
  }

  #start(batch: ClaimedBatch, askedAt: number, claim = traceBatch(batch, askedAt)): void {
    if (batch.size > 0) this.#telemetry.claimed(batch.size);
    if (batch.lastSeq !== null) this.#lanes.advance(batch.lane, batch.lastSeq);
    this.#starter.start(batch, claim);
  }

  async #startTraced(batch: ClaimedBatch, askedAt: number): Promise<void> {
    const { batchId, lane, size } = batch;
    const found = await traceHeadersIn(this.#db, batchId, linksMost).catch(() => []);
    const rows = found.map((headers) => ({ headers }));
    this.#start(batch, askedAt, traceClaim({ lane, by: 'claim', rows, more: size - rows.length, askedAt }));
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

/** Which events a batch holds is known here only where a worker of this process is to have them. */
function traceBatch({ lane, size, opened }: ClaimedBatch, askedAt: number): ReturnType<typeof traceClaim> {
  const rows = opened?.rows ?? [];
  return traceClaim({ lane, by: 'claim', rows, more: size - rows.length, askedAt });
}
