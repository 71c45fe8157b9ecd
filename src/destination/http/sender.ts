/** Sends messages to one HTTP destination, `concurrency` at a time. */
import { Client } from 'undici';
import type { HttpDestinationConfig } from './config.ts';
import type { OutgoingMessage, Sender, SendOutcome, SentRequest } from '../../core/outcome.ts';
import type { Share } from '../shared/share.ts';
import { answerStartOf } from './answerStart.ts';
import { Attempt, type AttemptOwner, type Slot } from './attempt.ts';
import { Cancellations } from '../shared/cancellations.ts';
import { checkTarget } from './check.ts';
import { connectionAgeMs, guardedConnector } from './connector.ts';
import { Deadlines } from '../shared/deadlines.ts';
import { describeRequest } from './describe.ts';
import { withAccessToken } from './oauth/sender.ts';
import { impossibleOutcome } from './outcomes.ts';
import { buildRequest, type HttpRequest } from './request.ts';
import { WaitingLine } from '../shared/waitingLine.ts';
import { prepareTarget, type HttpTarget, type TargetSource } from './target.ts';

/** An idle connection is closed before most servers do it (Node's own: 5 s), or 2 s before what they announce. */
const keepAliveTimeoutMs = 4_000;
const keepAliveMaximumMs = 30_000;
/** Headers of an answer; above it the answer is unusable. Servers stop at 8 to 64 kB themselves. */
const responseHeaderBytes = 128 * 1024;

export interface HttpServices extends TargetSource {
  readonly share: Share;
  /** After so long a connection is renewed, between two requests. Default {@link connectionAgeMs}. */
  readonly connectionAgeMs?: number;
}

/**
 * Sends over at most `config.concurrency` connections, one request at a time on each, and no more at once than this process's
 * share; further messages wait in order and their deadline starts when their turn comes. Never rejects.
 *
 * A connection that the receiver closed while idle is replaced unnoticed. One that breaks after a request was written
 * and before an answer came is `unreachable` (`connection-reset`), reused or not: nobody can know what was processed.
 */
export function createHttpSender(config: HttpDestinationConfig, services: HttpServices): Sender {
  const prepared = prepareTarget(config, services);
  if ('problem' in prepared) return unusableSender(config, prepared.problem);
  const { tokens } = prepared.target;
  const sender = new HttpSender(prepared.target, services);
  return tokens === null ? sender : withAccessToken(sender, tokens);
}

function unusableSender(config: HttpDestinationConfig, problem: string): Sender {
  const outcome = impossibleOutcome('bad-configuration', `destination ${config.name}: ${problem}`);
  return { send: async () => outcome, check: async () => outcome, close: async () => {} };
}

class HttpSender implements Sender, AttemptOwner {
  readonly target: HttpTarget;
  readonly check: Sender['check'];
  private readonly deadlines: Deadlines<Attempt>;
  private readonly cancellations = new Cancellations<Attempt>();
  private readonly newClient: (slot: Slot) => Client;
  /** The last one used is used next: under a light load the others close by themselves. */
  private readonly idle: Slot[] = [];
  private opened = 0;
  private readonly waiting = new WaitingLine<Attempt>();
  private pumping = false;
  private unsettled = 0;
  private whenSettled: (() => void) | null = null;
  private closing: Promise<void> | null = null;
  private readonly slots: Slot[] = [];
  private second = 0;
  private timestamp = '';
  private readonly share: Share;
  private readonly connectionAgeMs: number;
  /** While others are told that they may begin, their lists are not yet in order. */
  private readonly pumpSoon = (): void => queueMicrotask(() => this.pump());

  constructor(target: HttpTarget, { share, connectionAgeMs: ageMs = connectionAgeMs }: HttpServices) {
    const { config } = target;
    this.target = target;
    this.share = share;
    this.connectionAgeMs = ageMs;
    const { probeUrl } = target;
    this.check = probeUrl === null ? null : (signal) => checkTarget(target, probeUrl, signal);
    this.deadlines = new Deadlines<Attempt>(config.timeoutMs);
    const connect = guardedConnector(target.connect);
    this.newClient = (slot) =>
      new Client(target.origin, {
        connect: (options, callback) =>
          connect(options, (...[error, socket]) => {
            if (error !== null) return callback(error, null);
            slot.answer = answerStartOf(socket) ?? null;
            slot.openedAtMs = performance.now();
            callback(null, socket);
          }),
        pipelining: 1,
        keepAliveTimeout: keepAliveTimeoutMs,
        keepAliveMaxTimeout: keepAliveMaximumMs,
        maxHeaderSize: responseHeaderBytes,
        // The attempt's own deadline covers both.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
  }

  send(message: OutgoingMessage, signal: AbortSignal): Promise<SendOutcome> {
    if (this.closing !== null || signal.aborted) return Promise.resolve({ kind: 'aborted' });
    return new Promise((resolve) => {
      const attempt = new Attempt(this, message, signal, resolve);
      this.unsettled++;
      this.cancellations.add(signal, attempt);
      this.waiting.push(attempt);
      this.pump();
    });
  }

  describe(message: OutgoingMessage): SentRequest {
    return describeRequest(this.target, message);
  }

  /** Takes no more messages, waits for the outcome of those handed in, and closes the connections. */
  close(): Promise<void> {
    this.closing ??= this.drain();
    return this.closing;
  }

  settled(attempt: Attempt): void {
    this.cancellations.remove(attempt.signal, attempt);
    this.unsettled--;
    if (this.unsettled === 0) this.whenSettled?.();
  }

  released(attempt: Attempt, slot: Slot, cleanly: boolean): void {
    this.deadlines.remove(attempt);
    this.putBack(slot);
    // While undici reports an error its own lists are not yet in order.
    if (cleanly) this.pump();
    else this.pumpSoon();
  }

  abandon(slot: Slot): void {
    void this.renew(slot).destroy();
  }

  /** Answers the client that was there before. */
  private renew(slot: Slot): Client {
    const { client } = slot;
    slot.answer = null;
    slot.client = this.newClient(slot);
    return client;
  }

  /** Starts what is waiting while there is a connection for it. */
  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    while (this.waiting.length > 0) {
      const slot = this.takeSlot();
      if (slot === null) break;
      const attempt = this.takeNext();
      if (attempt === null) this.putBack(slot);
      else this.start(attempt, slot);
    }
    this.pumping = false;
  }

  private takeSlot(): Slot | null {
    if (this.idle.length === 0 && this.opened >= this.target.config.concurrency) return null;
    if (!this.share.begin(this.waiting.length, this.pumpSoon)) return null;
    const slot = this.idle.pop();
    if (slot !== undefined) return slot;
    this.opened++;
    const opened: Partial<Slot> & Pick<Slot, 'answer' | 'openedAtMs'> = { answer: null, openedAtMs: 0 };
    opened.client = this.newClient(opened as Slot);
    this.slots.push(opened as Slot);
    return opened as Slot;
  }

  private putBack(slot: Slot): void {
    this.idle.push(slot);
    this.share.end();
  }

  /** The first that still wants to be sent. */
  private takeNext(): Attempt | null {
    for (;;) {
      const attempt = this.waiting.shift();
      if (attempt === undefined) return null;
      if (!attempt.done) return attempt;
    }
  }

  private start(attempt: Attempt, slot: Slot): void {
    const request = this.requestFor(attempt);
    if (request === null) {
      this.putBack(slot);
      return;
    }
    const nowMs = performance.now();
    // Nothing is under way on it now.
    if (slot.answer !== null && nowMs - slot.openedAtMs > this.connectionAgeMs)
      void this.renew(slot).destroy();
    attempt.begin(slot, nowMs);
    this.deadlines.add(attempt, nowMs);
    slot.client.dispatch(request, attempt);
  }

  private requestFor(attempt: Attempt): HttpRequest | null {
    try {
      const request = buildRequest(this.target, attempt.message, this.unixSeconds());
      if (typeof request !== 'string') return request;
      attempt.settle(impossibleOutcome('invalid-header', request));
    } catch {
      // Only a row that is no message at all comes here.
      attempt.settle(impossibleOutcome('invalid-request', 'no request can be made of this message'));
    }
    return null;
  }

  /** The text of the current second, made once per second. */
  private unixSeconds(): string {
    const second = Math.floor(this.target.now() / 1000);
    if (second !== this.second) {
      this.second = second;
      this.timestamp = String(second);
    }
    return this.timestamp;
  }

  private async drain(): Promise<void> {
    if (this.unsettled > 0) await new Promise<void>((resolve) => (this.whenSettled = resolve));
    // What is left are bodies that nobody waits for.
    await Promise.all(this.slots.map(({ client }) => client.destroy()));
    this.deadlines.stop();
  }
}
