/** One attempt: a message, its way over one connection, and its outcome. */
import type { Client, Dispatcher } from 'undici';
import type { OutgoingMessage, SendOutcome } from '../../core/outcome.ts';
import type { AnswerStart } from './answerStart.ts';
import type { Expiring } from '../shared/deadlines.ts';
import { answeredOutcome, failedOutcome, timeoutOutcome, unfinishedOutcome } from './outcomes.ts';
import { excerptBytes } from '../shared/printable.ts';
import type { HttpTarget } from './target.ts';

/** Bytes of a body kept at most for the excerpt. */
const maximumKeptBytes = 16 * 1024;
/**
 * Bytes of a body read at most; more ends the connection. Reading this much costs less than connecting again, and a
 * receiver that answers with more costs us a connection for each message.
 */
const maximumReadBytes = 64 * 1024;

/** One connection and what is known of it. */
export interface Slot {
  client: Client;
  /** Of its connection; null before there is one. */
  answer: AnswerStart | null;
  /** When that was opened, of performance.now(). */
  openedAtMs: number;
}

/** What an attempt tells its sender. */
export interface AttemptOwner {
  readonly target: HttpTarget;
  /** The outcome is known; the answer's body may still be on its way. */
  settled(attempt: Attempt): void;
  /** The connection can take the next request. Called once, after `settled`. */
  released(attempt: Attempt, slot: Slot, cleanly: boolean): void;
  /** The connection is not there yet and no longer wanted: give it up, so that the request is never written. */
  abandon(slot: Slot): void;
}

const noBody = Buffer.alloc(0);
const noHeaders: readonly Buffer[] = [];

/**
 * The handler undici calls, in the older form that undici 7 marks as deprecated; the newer one has the same calls under
 * other names, should a later major drop it. Measured, CPU per message to a local receiver, concurrency 50 (Node 20,
 * undici 7.30, payload of 175 bytes, 9 headers):
 *
 * | way | µs |
 * |---|---|
 * | node:http with a keep-alive agent, 2 headers | 54.4 |
 * | Pool.request, body dumped | 25.0 |
 * | dispatch, newer handler (onResponseStart: parses all headers) | 18.0 |
 * | dispatch, older handler, on a Pool | 14.6 |
 * | dispatch, older handler, on a stack of Clients (this one) | 15.4 |
 *
 * The stack costs about what the Pool does (runs differ by 1 µs), and lets an attempt that has not been written yet be given up for certain.
 */
export class Attempt implements Dispatcher.DispatchHandler, Expiring<Attempt> {
  deadlineAtMs = 0;
  earlier: Attempt | null = null;
  later: Attempt | null = null;

  readonly message: OutgoingMessage;
  readonly signal: AbortSignal;
  private readonly owner: AttemptOwner;
  private readonly resolve: (outcome: SendOutcome) => void;
  private slot: Slot | null = null;
  private startedAtMs = 0;
  private isSettled = false;
  private endConnection: (() => void) | null = null;
  private status = 0;
  private rawHeaders: readonly Buffer[] = noHeaders;
  private kept: Buffer[] | null = null;
  private readBytes = 0;

  constructor(
    owner: AttemptOwner,
    message: OutgoingMessage,
    signal: AbortSignal,
    resolve: (outcome: SendOutcome) => void,
  ) {
    this.owner = owner;
    this.message = message;
    this.signal = signal;
    this.resolve = resolve;
  }

  get done(): boolean {
    return this.isSettled;
  }

  /** Takes the connection. The clock of the attempt starts here, not when it was queued. */
  begin(slot: Slot, nowMs: number): void {
    this.slot = slot;
    this.startedAtMs = nowMs;
  }

  settle(outcome: SendOutcome): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.owner.settled(this);
    this.resolve(outcome);
  }

  /** The caller wants no answer any more. A request already written may have arrived all the same. */
  cancel(): void {
    if (this.isSettled) return;
    this.settle({ kind: 'aborted' });
    this.stop();
  }

  /** The deadline: the status decides if there is one, however little came of the body. */
  expire(): void {
    if (!this.isSettled) {
      if (this.status !== 0) this.settleByStatus(false);
      else if (this.begun) this.settle(unfinishedOutcome(this.owner.target, this.elapsedMs()));
      else this.settle(timeoutOutcome(this.owner.target, this.endConnection !== null, this.elapsedMs()));
    }
    this.stop();
  }

  onConnect(abort: (error?: Error) => void): void {
    if (this.isSettled) abort();
    else this.endConnection = abort;
  }

  onHeaders(status: number, rawHeaders: Buffer[]): boolean {
    if (status < 200) return true;
    this.status = status;
    if (status < 300) {
      this.settle({ kind: 'acknowledged', status, durationMs: this.elapsedMs() });
    } else {
      this.rawHeaders = rawHeaders;
      if (this.wantedBytes() === 0) this.settleByStatus(false);
    }
    return true;
  }

  onData(chunk: Buffer): boolean {
    this.readBytes += chunk.length;
    if (!this.isSettled) {
      (this.kept ??= []).push(chunk);
      if (this.readBytes >= this.wantedBytes()) this.settleByStatus(false);
    }
    if (this.readBytes > maximumReadBytes) this.stop();
    return true;
  }

  onComplete(): void {
    if (!this.isSettled) this.settleByStatus(true);
    this.release(true);
  }

  onError(error: Error): void {
    if (!this.isSettled) {
      if (this.status !== 0) this.settleByStatus(false);
      else this.settle(failedOutcome(this.owner.target, error, this.elapsedMs(), this.begun));
    }
    this.release(false);
  }

  /** Whether a part of an answer came. Before its request is written none can. */
  private get begun(): boolean {
    return this.endConnection !== null && this.slot?.answer?.begun === true;
  }

  private settleByStatus(bodyComplete: boolean): void {
    const body = this.kept === null ? noBody : Buffer.concat(this.kept).subarray(0, this.wantedBytes());
    this.kept = null;
    this.settle(
      answeredOutcome(this.owner.target, {
        status: this.status,
        rawHeaders: this.rawHeaders,
        body,
        bodyComplete: bodyComplete && body.length === this.readBytes,
        durationMs: this.elapsedMs(),
      }),
    );
  }

  /** Ends the connection; undici then calls onError, which releases it. */
  private stop(): void {
    if (this.slot === null) return;
    if (this.endConnection !== null) this.endConnection();
    else this.owner.abandon(this.slot);
  }

  private release(cleanly: boolean): void {
    const { slot } = this;
    if (slot === null) return;
    this.slot = null;
    this.owner.released(this, slot, cleanly);
  }

  private wantedBytes(): number {
    return excerptBytes(this.owner.target.config.responseExcerpt, maximumKeptBytes);
  }

  private elapsedMs(): number {
    return Math.max(0, Math.round((performance.now() - this.startedAtMs) * 10) / 10);
  }
}
