import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../activities/index.ts';
import type { UnwrittenStanding } from '../../activities/unwritten.ts';
import type { Share } from '../destination/shared/share.ts';
import { repeat, type Repeated } from '../relay/repeat.ts';
import type { Queryable } from '../storage/connect.ts';
import { lackingText, noteLacking, nothingLacking, type Lacking } from '../storage/lacking.ts';
import { knowMixed } from '../storage/sharedLane.ts';
import {
  giveShare,
  leaveWorker,
  noteUnwritten,
  renewWorker,
  takeShare,
  type Wish,
} from '../storage/shares.ts';

const heartbeatMs = 1_000;
/** Shares outlast the last heartbeat by so much. */
const ttlMs = 6_000;
/** This process stops to begin requests that much earlier than others may take its shares over. */
const marginMs = 1_000;
/** Between questions for more: with nothing in hand, and with something. */
const askAgainMs = { empty: 100, some: 1_000 };

/** What others see of this process. */
export interface Told {
  /** What was answered and waits to be written. */
  readonly unwritten: () => UnwrittenStanding | undefined;
  /** What it lacks to send or to ask by the latest configuration. */
  readonly lacking: () => Lacking;
}

const nothingToTell: Told = { unwritten: () => undefined, lacking: () => nothingLacking };

/**
 * What this process may send at once, by destination. A process alone asks once for each destination, at its first request; from then
 * on counting is all there is to it. Slots are lent by PostgreSQL and last while heartbeats arrive.
 */
export class Shares {
  readonly #db: Queryable;
  readonly #log: Log;
  readonly #told: Told;
  #toldUnwritten = false;
  #toldLacking: string | null = null;
  readonly #id = randomUUID();
  readonly #byName = new Map<string, LocalShare>();
  readonly #stopping = new AbortController();
  #validUntil = -Infinity;
  #heartbeats: Repeated | undefined;

  /** `told`: what else a heartbeat tells. */
  constructor(db: Queryable, log: Log, told: Told = nothingToTell) {
    this.#db = db;
    this.#log = log;
    this.#told = told;
  }

  async start(): Promise<void> {
    await this.#renew();
    this.#heartbeats = repeat('hold shares', heartbeatMs, this.#log, () => this.#renew());
  }

  /** To be called when nothing is sent any more: its shares are free at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#heartbeats?.stop();
    await leaveWorker(this.#db, this.#id).catch((error: unknown) =>
      this.#log.warn({ error: String(error) }, 'shares not given up; they expire'),
    );
  }

  /** The same for each sender of a destination, old or new. */
  of(destination: string): Share {
    const known = this.#byName.get(destination);
    if (known !== undefined) return known;
    const share = new LocalShare(
      () => performance.now() < this.#validUntil,
      () => void this.#obtain(destination, share),
    );
    this.#byName.set(destination, share);
    return share;
  }

  async #renew(): Promise<void> {
    const askedAt = performance.now();
    const { lost, wishes } = await renewWorker(this.#db, this.#id, `${hostname()}:${process.pid}`, ttlMs);
    if (lost) {
      await knowMixed(this.#db, this.#id);
      for (const share of this.#byName.values()) share.slots = 0;
      this.#toldLacking = null;
    }
    this.#validUntil = askedAt + ttlMs - marginMs;
    for (const wish of wishes) await this.#grant(wish);
    for (const share of this.#byName.values()) share.beat();
    await this.#tellUnwritten();
    await this.#tellLacking();
  }

  async #tellLacking(): Promise<void> {
    const text = lackingText(this.#told.lacking());
    if (text === this.#toldLacking) return;
    await noteLacking(this.#db, this.#id, text);
    this.#toldLacking = text;
  }

  async #tellUnwritten(): Promise<void> {
    const standing = this.#told.unwritten();
    if (standing === undefined && !this.#toldUnwritten) return;
    await noteUnwritten(this.#db, this.#id, standing);
    this.#toldUnwritten = standing !== undefined;
  }

  async #grant(wish: Wish): Promise<void> {
    const { destination } = wish;
    const share = this.#byName.get(destination);
    if (share === undefined) return;
    share.slots = slotsToKeep(share, wish);
    // What is under way is not given before it is over.
    await giveShare(this.#db, this.#id, destination, Math.max(share.slots, share.busy));
  }

  /** Asks until nobody waits any more; one question at a time. */
  async #obtain(destination: string, share: LocalShare): Promise<void> {
    if (share.asking) return;
    share.asking = true;
    try {
      while (share.hasWaiting && !this.#stopping.signal.aborted) {
        const slots = await takeShare(this.#db, this.#id, destination, share.wanted, ttlMs).catch(() => 0);
        if (slots > share.slots) share.slots = slots;
        share.wake();
        const pauseMs = share.slots === 0 ? askAgainMs.empty : askAgainMs.some;
        if (share.hasWaiting)
          await sleep(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      }
    } finally {
      share.asking = false;
    }
  }
}

/**
 * Others need slots: what is not used here goes first, and of what is used what lies above an even part. Of the last one, too, where
 * there are more claimants than slots: they take turns.
 */
export function slotsToKeep(
  { slots, peak }: { readonly slots: number; readonly peak: number },
  { concurrency, needed, claimants }: Omit<Wish, 'destination'>,
): number {
  const least = Math.min(slots, peak, Math.floor(concurrency / claimants));
  return Math.max(slots - needed, least);
}

class LocalShare implements Share {
  /** Requests of this process that may be under way. */
  slots = 0;
  busy = 0;
  /** The most that were under way or waiting since the last heartbeat. */
  peak = 0;
  asking = false;
  #waiting = 0;
  readonly #ready = new Set<() => void>();
  readonly #isValid: () => boolean;
  readonly #ask: () => void;

  constructor(isValid: () => boolean, ask: () => void) {
    this.#isValid = isValid;
    this.#ask = ask;
  }

  get hasWaiting(): boolean {
    return this.#ready.size > 0;
  }

  get wanted(): number {
    return this.busy + this.#waiting;
  }

  begin(waiting: number, ready: () => void): boolean {
    if (this.busy < this.slots && this.#isValid()) {
      this.busy++;
      if (this.busy > this.peak) this.peak = this.busy;
      return true;
    }
    this.#waiting = waiting;
    this.peak = Math.max(this.peak, this.busy + waiting);
    this.#ready.add(ready);
    this.#ask();
    return false;
  }

  end(): void {
    this.busy--;
    if (this.#ready.size > 0) this.wake();
  }

  /** Whoever waits tries again, and says so if it still has to wait. */
  wake(): void {
    const waiting = [...this.#ready];
    this.#ready.clear();
    this.#waiting = 0;
    for (const ready of waiting) ready();
  }

  beat(): void {
    this.peak = this.busy + this.#waiting;
  }
}
