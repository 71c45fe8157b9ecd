import { chunk } from '../storage/attempts.ts';
import type { ClaimedBatch } from '../storage/claims.ts';
import type { Queryable } from '../storage/connect.ts';
import { claimShared, lanesWithWork, type SharedAsk, type SharedClaim } from '../storage/sharedLane.ts';
import { sharedLane } from '../core/sharedLane.ts';
import { traceJoined } from '../tracing/claim.ts';
import type { Handover } from '../worker/handover.ts';
import { over } from '../worker/intakes.ts';
import type { Lanes } from './lanes.ts';
import type { Starter } from './starter.ts';

/** A lane with a batch of its own is asked for so long after it was seen to have work. */
const askedForMs = 1_500;
/** Searching all lanes from the beginning may take up this share of the time. */
const sweepShare = 0.02;
const sweepMs = { least: 50, most: 2_000 };

export interface SharedRound {
  /** Batches claimed or joined. */
  readonly claimed: number;
  /** A new batch, to be started. */
  readonly batch: ClaimedBatch | null;
  /** Lanes that are to be asked for batches of their own. */
  readonly ask: readonly string[];
}

/**
 * Where a relay has many lanes: looks at what came lately, whoever it is for, in place of asking for each lane. What is quiet goes into batches that mix
 * destinations; the others are named, to be asked for one by one.
 */
export class SharedClaims {
  readonly #db: Queryable;
  readonly #relayId: string;
  readonly #lanes: Lanes;
  readonly #starter: Starter;
  readonly #handover: Handover | undefined;
  readonly #onClaimed: (rows: number) => void;
  /** Lanes that had work of late, until when they are asked. */
  readonly #busy = new Map<string, number>();
  #sweepIsDue = true;
  #sweptAt = -Infinity;
  #sweepMs = 0;
  /** Lanes that the last sweep found with work; empty once they are claimed. */
  #behind: readonly string[] = [];
  #isTurnOfBehind = false;
  /** Claiming for all of them together fails: until then each has batches of its own. */
  #apartUntil = -Infinity;

  /** `handover`: undefined where attempts are made by other processes; then nothing is shared. */
  constructor(
    db: Queryable,
    relayId: string,
    lanes: Lanes,
    starter: Starter,
    handover: Handover | undefined,
    onClaimed: (rows: number) => void,
  ) {
    this.#db = db;
    this.#relayId = relayId;
    this.#lanes = lanes;
    this.#starter = starter;
    this.#handover = handover;
    this.#onClaimed = onClaimed;
  }

  /** `mayStart`: whether a new batch may be made now. */
  async round(now: number, mayStart: boolean): Promise<SharedRound> {
    this.#behind = (await this.#sweep(now)) ?? this.#behind;
    const claims = [];
    this.#isTurnOfBehind = this.#behind.length > 0 && !this.#isTurnOfBehind;
    if (this.#isTurnOfBehind) claims.push(await this.#claimBehind(now, mayStart));
    // One hand-over at a time: where the sweep claimed, what came lately has its turn at the next poll.
    if (!claims.some(({ batch, joined }) => batch !== null || joined !== null))
      claims.push(await this.#claim(now, mayStart, null));
    for (const { own } of claims)
      for (const lane of own) {
        if (!this.#lanes.owns(lane)) continue;
        this.#handover?.shared.needsOwn(lane);
        this.#busy.set(lane, now + askedForMs);
      }
    const batch = claims.find((claim) => claim.batch !== null)?.batch ?? null;
    const joined = claims.filter((claim) => claim.joined !== null).length;
    return { claimed: joined + (batch === null ? 0 : 1), batch, ask: this.#asked(now) };
  }

  /** Of what lies below the mark as much as there is room for, and again until there is none: a sweep finds what one claim may not hold. */
  async #claimBehind(now: number, mayStart: boolean): Promise<SharedClaim> {
    const intake = this.#handover?.intakes.of(sharedLane);
    const hasRoom = intake === undefined ? mayStart : intake.wants > 0;
    // It begins at another one each time: a claim looks at so many rows, and what it does not come to is not always the same.
    const from = Math.floor(Math.random() * this.#behind.length);
    const among = [...this.#behind.slice(from), ...this.#behind.slice(0, from)];
    const claim = await this.#claim(now, mayStart, among);
    if (hasRoom && claim.batch === null && rowsIn(claim) === 0) this.#behind = [];
    return claim;
  }

  /** The lane has work, or has room again. */
  stir(lane: string): void {
    if (lane === sharedLane) return;
    if (this.#handover?.shared.isOwn(lane) === false) this.#lanes.sweepSoon(sharedLane);
    else this.#busy.set(lane, performance.now() + askedForMs);
  }

  /** What is wrong with one lane is found by asking for each. */
  partFor(ms: number): void {
    this.#apartUntil = performance.now() + ms;
  }

  #asked(now: number): string[] {
    const fed = this.#handover?.intakes.lanes ?? [];
    for (const [lane, until] of this.#busy)
      if (until < now || !this.#lanes.owns(lane)) this.#busy.delete(lane);
    const asked = new Set([...fed, ...this.#busy.keys()]);
    asked.delete(sharedLane);
    return [...asked];
  }

  /** Lanes with work, when it is time to search all of them; else null. */
  async #sweep(now: number): Promise<string[] | null> {
    if (this.#lanes.marks([sharedLane], now)[0] === '0') this.#sweepIsDue = true;
    // With a share alone a sweep that took half a second on a busy machine was the last one for half a minute.
    const restMs = Math.min(Math.max(this.#sweepMs / sweepShare, sweepMs.least), sweepMs.most);
    if (!this.#sweepIsDue || now - this.#sweptAt < restMs) return null;
    this.#sweepIsDue = false;
    const askedAt = performance.now();
    const names = await lanesWithWork(this.#db);
    this.#sweptAt = performance.now();
    this.#sweepMs = this.#sweptAt - askedAt;
    return this.#toShare(names, now);
  }

  /** Those with batches of their own need not be looked at to know it; those set aside would fill the look, which ends after some rows. */
  #toShare(names: readonly string[], now: number): string[] {
    const own = new Set(this.#handover?.shared.own);
    const aside = new Set(this.#handover?.shared.aside);
    const shared = [];
    for (const name of names) {
      if (!this.#lanes.owns(name)) continue;
      if (own.has(name)) this.#busy.set(name, now + askedForMs);
      else if (!aside.has(name)) shared.push(name);
    }
    return shared;
  }

  async #claim(now: number, mayStart: boolean, among: readonly string[] | null): Promise<SharedClaim> {
    const intake = this.#handover?.intakes.of(sharedLane);
    const isHeldUp = this.#starter.isHeldUp(sharedLane);
    const ask: Omit<SharedAsk, 'into' | 'limit'> = {
      after: this.#lanes.markOf(sharedLane),
      among,
      share: this.#handover !== undefined && now >= this.#apartUntil,
      own: this.#handover?.shared.own ?? [],
      aside: this.#handover?.shared.aside ?? [],
    };
    if (intake === undefined) {
      // Which lanes have work is worth knowing in any case.
      if (!mayStart || isHeldUp) return this.#lookOnly(ask);
      return this.#noted(
        await claimShared(this.#db, this.#relayId, { ...ask, into: null, limit: null }, chunk),
      );
    }
    if (!isHeldUp && intake.needsSuccessor && intake.isUsed) {
      const claim = await claimShared(this.#db, this.#relayId, { ...ask, into: null, limit: 0 }, chunk);
      intake.hasSuccessor = true;
      return claim;
    }
    const limit = intake.wants;
    if (limit === 0) return this.#lookOnly(ask);
    intake.asks();
    let claim: SharedClaim;
    try {
      claim = await claimShared(this.#db, this.#relayId, { ...ask, into: intake.batch, limit }, chunk);
    } catch (error) {
      intake.answered(over(intake.batch));
      throw error;
    }
    const { joined } = claim;
    if (joined !== null && joined.rows.length > 0) {
      this.#handover?.intakes.noteTraffic(sharedLane);
      traceJoined(sharedLane, joined, now);
    }
    intake.answered(joined ?? undefined);
    return this.#noted(claim);
  }

  /** With room for nothing: what is quiet waits for its batch. */
  #lookOnly(ask: Omit<SharedAsk, 'into' | 'limit'>): Promise<SharedClaim> {
    return claimShared(this.#db, this.#relayId, { ...ask, into: null, limit: -1 }, chunk);
  }

  #noted(claim: SharedClaim): SharedClaim {
    const { seen, more, joined, batch } = claim;
    const rows = rowsIn(claim);
    // There may have been room for no more than that: what was seen behind it is looked at again.
    const upTo = rows > 0 ? (joined?.lastSeq ?? batch?.lastSeq ?? seen) : seen;
    if (seen !== null && upTo !== null) {
      this.#lanes.advance(sharedLane, upTo);
      // All up to there was claimed, or is claimed with its own lane: what is behind it must not wait.
      if (more) this.#lanes.skipTo(sharedLane, upTo);
    }
    if (rows > 0) this.#onClaimed(rows);
    return claim;
  }
}

function rowsIn({ joined, batch }: SharedClaim): number {
  return (joined?.rows.length ?? 0) + (joined?.rest.length ?? 0) + (batch?.size ?? 0);
}
