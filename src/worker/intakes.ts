import { setTimeout as sleep } from 'node:timers/promises';
import { sharedLane } from '../core/sharedLane.ts';
import { chunk, loadClaimed, type OpenedBatch } from '../storage/attempts.ts';
import { claimInto, type Joined } from '../storage/claims.ts';
import type { Queryable } from '../storage/connect.ts';
import { traceJoined } from '../tracing/claim.ts';
import { Intake } from './intake.ts';

/**
 * A first attempt takes in rows for so long. Its own limit is 5 s, within which what came last is to be answered; and of workflow tasks that take
 * longer the SDK warns.
 */
const openForMs = 4_000;
/** One that mixes destinations stays open until the next one has begun, as nobody waits for it with a command; at most for so long. */
export const mixedOpenForMs = 20_000;
/** The next batch is started so long before: beside a load on both cores a start takes half a second. */
const successorBeforeMs = 800;
/** What a start costs in time: a batch that got nothing for so long may as well close, and be started again. */
const startMs = 50;
/**
 * Where rows keep coming it waits for so many times the usual gap between them. At ten events a second that closes one batch in fifty too
 * early; and where they come more rarely than this, the next one would not come in time.
 */
const gapsWaited = 4;
const rareMs = 1_500;
/** How much of the usual gap the latest one makes up. */
const latestCounts = 0.3;
/**
 * An open batch holds one of the worker's forty workflow tasks. With more than so many open, none waits longer than a start takes; with more than
 * so many, none waits at all.
 */
const plenty = 10;
const scarce = 20;
/** An attempt that looks for rows itself does so this far apart, all of a process together, and at most for a tenth of its time. */
const lookMs = 10;
const looksShare = 0.1;
/** It may be late by so much before the lane's owner makes a batch after all. */
const slackMs = 100;

/** What the first attempts of this process take in while they run, and from whom. */
export class Intakes {
  /** Those that a relay in this process feeds, the latest of each lane. */
  readonly #fed = new Map<string, Intake>();
  readonly #open = new Set<Intake>();
  /** Milliseconds between rows, by lane, and when the latest came. */
  readonly #traffic = new Map<string, { gapMs: number; at: number }>();
  #feeder: { serves(lane: string): boolean; opened(lane: string): void } | undefined;

  /** The relay of this process feeds the lanes that it claims for; undefined: no longer. */
  feedBy(feeder: { serves(lane: string): boolean; opened(lane: string): void } | undefined): void {
    this.#feeder = feeder;
  }

  /** The open batch of a lane that takes in rows, if there is one for this process's relay to feed. */
  of(lane: string): Intake | undefined {
    const intake = this.#fed.get(lane);
    return intake?.accepting === true ? intake : undefined;
  }

  /** Lanes with an open batch that takes in rows. */
  get lanes(): string[] {
    return [...this.#fed.keys()];
  }

  /** Closes those whose lanes are no longer fed from here. */
  closeLost(): void {
    for (const [lane, intake] of this.#fed) if (this.#feeder?.serves(lane) !== true) intake.close();
  }

  /** Rows of the lane were claimed. */
  noteTraffic(lane: string): void {
    const now = performance.now();
    const before = this.#traffic.get(lane);
    const gapMs = Math.min(now - (before?.at ?? -Infinity), 2 * rareMs);
    const usual = before === undefined ? gapMs : before.gapMs + (gapMs - before.gapMs) * latestCounts;
    this.#traffic.set(lane, { gapMs: usual, at: now });
  }

  /** The latest batch of a lane is the one that takes in rows: it was started when the one before it was about to close, or closed. */
  open(db: Queryable, batch: OpenedBatch): Intake {
    const { lane } = batch;
    const isFed = this.#feeder?.serves(lane) === true;
    const now = performance.now();
    const untilMs = now + openForMs;
    const intake = new Intake({
      batch,
      successorFromMs: untilMs - successorBeforeMs,
      untilMs,
      ...(lane === sharedLane ? { atMostMs: now + mixedOpenForMs } : {}),
      patienceMs: () => this.#patienceMs(lane),
      load: (seqs) => loadClaimed(db, batch.batchId, seqs, chunk),
      onClose: () => {
        this.#open.delete(intake);
        if (this.#fed.get(lane) === intake) this.#fed.delete(lane);
      },
    });
    this.#open.add(intake);
    if (isFed) {
      const before = this.#fed.get(lane);
      this.#fed.set(lane, intake);
      before?.close();
      this.#feeder?.opened(lane);
    } else void this.#look(db, intake, untilMs);
    return intake;
  }

  #patienceMs(lane: string): number {
    if (this.#open.size > scarce) return 0;
    const gapMs = this.#traffic.get(lane)?.gapMs ?? Infinity;
    return this.#open.size > plenty || gapMs > rareMs ? startMs : Math.max(startMs, gapsWaited * gapMs);
  }

  /** Until shortly before its end nobody else is to make a batch of what comes. */
  async #look(db: Queryable, intake: Intake, untilMs: number): Promise<void> {
    const { batch } = intake;
    while (intake.accepting) {
      const wanted = intake.wants;
      const askedAt = performance.now();
      if (wanted > 0) {
        intake.asks();
        const againMs = askedAt < untilMs - successorBeforeMs ? 2 * this.#betweenLooksMs + slackMs : null;
        const joined = await claimInto(db, batch.lane, batch, wanted, againMs, chunk).catch(() =>
          over(batch),
        );
        if (joined !== undefined && joined.rows.length > 0) {
          this.noteTraffic(batch.lane);
          traceJoined(batch.lane, joined, askedAt);
        }
        intake.answered(joined);
      }
      const tookMs = performance.now() - askedAt;
      await sleep(Math.max(this.#betweenLooksMs, tookMs / looksShare));
    }
  }

  get #betweenLooksMs(): number {
    return lookMs * Math.max(this.#open.size, 1);
  }
}

/** Nobody knows what a claim came to whose answer was lost: rows that joined by it go before all that would come after. */
export function over({ lane, batchId }: OpenedBatch): Joined {
  return { lane, batchId, rows: [], rest: [], lastSeq: null, closed: true };
}
