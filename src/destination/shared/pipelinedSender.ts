/** What senders of every protocol have in common: how many at once, deadlines, stopping, outcomes. */
import type { OutgoingMessage, Sender, SendOutcome, SentRequest } from '../../core/outcome.ts';
import { Cancellations } from './cancellations.ts';
import { Deadlines, type Expiring } from './deadlines.ts';
import { SendFailure } from './failures.ts';
import { errorText, networkErrorClass } from './networkErrors.ts';
import { printable } from '../../core/printable.ts';
import { redact } from './printable.ts';
import type { Share } from './share.ts';
import { WaitingLine } from './waitingLine.ts';

/** The part that a protocol is: what sends one message and knows when it is stored. */
export interface Publisher {
  /**
   * Resolves when the server has stored the message: with a status where the protocol has numbers for that. Throws a `SendFailure`
   * (see failures.ts); any other error is `unreachable` under the class of its code. Many are under way at once, in the order of their
   * calls. `attempt.done`: nobody waits any more; what is not written yet need not be.
   */
  publish(message: OutgoingMessage, attempt: { readonly done: boolean }): Promise<number | void>;
  /** How that message is sent, without secrets. */
  describe?(message: OutgoingMessage): SentRequest;
  /** Asks the server whether it is well, without a message. Absent: events are the probes. */
  check?(): Promise<void>;
  close(): Promise<void>;
}

export interface PipelineOptions {
  readonly timeoutMs: number;
  /** Messages under way at once in this process at most. */
  readonly concurrency: number;
  readonly share: Share;
  /** Texts that no message may show. */
  readonly secrets?: readonly string[];
}

/**
 * Publishes up to `concurrency` messages at once and no more than this process's share; further ones wait in order, and their
 * deadline starts when their turn comes. Never rejects.
 */
export function pipelinedSender(publisher: Publisher, options: PipelineOptions): Sender {
  return new PipelinedSender(publisher, options);
}

/** Of a destination with which nothing can be sent: each message is refused, class `bad-configuration`. */
export function unusableSender(name: string, problem: string): Sender {
  const outcome: SendOutcome = {
    kind: 'refused',
    permanent: true,
    errorClass: 'bad-configuration',
    message: printable(`destination ${name}: ${problem}`, messageCharacters),
    status: null,
    retryAfterMs: null,
    excerpt: null,
    durationMs: 0,
  };
  return { send: async () => outcome, check: async () => outcome, close: async () => undefined };
}

/** Characters of a failure's message. */
const messageCharacters = 500;

class PipelinedSender implements Sender {
  readonly check: Sender['check'];
  readonly describe?: NonNullable<Sender['describe']>;
  readonly #publisher: Publisher;
  readonly #options: PipelineOptions;
  readonly #deadlines: Deadlines<Attempt>;
  readonly #cancellations = new Cancellations<Attempt>();
  readonly #waiting = new WaitingLine<Attempt>();
  #underWay = 0;
  #unsettled = 0;
  #whenSettled: (() => void) | null = null;
  #closing: Promise<void> | null = null;
  readonly #pumpSoon = (): void => queueMicrotask(() => this.#pump());

  constructor(publisher: Publisher, options: PipelineOptions) {
    this.#publisher = publisher;
    this.#options = options;
    this.#deadlines = new Deadlines<Attempt>(options.timeoutMs);
    this.check = publisher.check === undefined ? null : (signal) => this.#ask(signal);
    if (publisher.describe !== undefined) this.describe = (message) => this.#describe(message);
  }

  send(message: OutgoingMessage, signal: AbortSignal): Promise<SendOutcome> {
    if (signal.aborted || this.#closing !== null) return Promise.resolve({ kind: 'aborted' });
    return new Promise((resolve) => {
      const attempt = new Attempt(this, message, signal, resolve);
      this.#unsettled++;
      this.#cancellations.add(signal, attempt);
      this.#waiting.push(attempt);
      this.#pump();
    });
  }

  /** Takes no more messages, waits for the outcome of those handed in, and lets go of the connection. */
  close(): Promise<void> {
    this.#closing ??= this.#drain();
    return this.#closing;
  }

  settled(attempt: Attempt): void {
    this.#cancellations.remove(attempt.signal, attempt);
    this.#deadlines.remove(attempt);
    if (attempt.begun) {
      this.#underWay--;
      this.#options.share.end();
      this.#pumpSoon();
    }
    this.#unsettled--;
    if (this.#unsettled === 0) this.#whenSettled?.();
  }

  timeout(): SendOutcome {
    const { timeoutMs } = this.#options;
    return this.#failed(
      new SendFailure('unreachable', 'timeout', `not acknowledged within ${timeoutMs} ms`),
      timeoutMs,
    );
  }

  #describe(message: OutgoingMessage): SentRequest {
    const { secrets = [] } = this.#options;
    const { address, headers } = this.#sentAs(message);
    const shown = (text: string, characters: number) => printable(redact(text, secrets), characters);
    return {
      address: shown(address, 500),
      headers: Object.fromEntries(
        Object.entries(headers)
          .slice(0, 60)
          .map(([name, value]) => [shown(name, 256), shown(value, 256)]),
      ),
    };
  }

  /** What cannot be sent for its content cannot be described either. */
  #sentAs(message: OutgoingMessage): SentRequest {
    try {
      return this.#publisher.describe!(message);
    } catch {
      return { address: 'nowhere: no message was made of it', headers: {} };
    }
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#underWay < this.#options.concurrency) {
      if (!this.#options.share.begin(this.#waiting.length, this.#pumpSoon)) return;
      const attempt = this.#takeNext();
      if (attempt === null) return this.#options.share.end();
      this.#start(attempt);
    }
  }

  /** The first that still wants to be sent. */
  #takeNext(): Attempt | null {
    for (;;) {
      const attempt = this.#waiting.shift();
      if (attempt === undefined) return null;
      if (!attempt.done) return attempt;
    }
  }

  #start(attempt: Attempt): void {
    this.#underWay++;
    const startedAtMs = performance.now();
    attempt.begun = true;
    this.#deadlines.add(attempt, startedAtMs);
    this.#publish(attempt).then(
      (status) => {
        const durationMs = elapsed(startedAtMs);
        attempt.settle({
          kind: 'acknowledged',
          status: typeof status === 'number' ? status : null,
          durationMs,
        });
      },
      (error: unknown) => attempt.settle(this.#failed(error, elapsed(startedAtMs))),
    );
  }

  /** What throws at once is a failure as any other. */
  async #publish(attempt: Attempt): Promise<number | void> {
    return this.#publisher.publish(attempt.message, attempt);
  }

  async #ask(signal: AbortSignal): Promise<SendOutcome> {
    const startedAtMs = performance.now();
    const { timeoutMs } = this.#options;
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle(this.timeout()), timeoutMs);
      const stop = (): void => settle({ kind: 'aborted' });
      const settle = (outcome: SendOutcome): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
        resolve(outcome);
      };
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) return stop();
      (async () => this.#publisher.check!())().then(
        () => settle({ kind: 'acknowledged', status: null, durationMs: elapsed(startedAtMs) }),
        (error: unknown) => settle(this.#failed(error, elapsed(startedAtMs))),
      );
    });
  }

  #failed(error: unknown, durationMs: number): SendOutcome {
    const failure =
      error instanceof SendFailure
        ? error
        : new SendFailure('unreachable', networkErrorClass(error), errorText(error));
    const { kind, permanent, errorClass, retryAfterMs } = failure;
    const message = printable(redact(failure.message, this.#options.secrets ?? []), messageCharacters);
    const details = { errorClass, message, status: null, retryAfterMs, excerpt: null, durationMs };
    return kind === 'refused' ? { kind, permanent, ...details } : { kind, ...details };
  }

  async #drain(): Promise<void> {
    if (this.#unsettled > 0) await new Promise<void>((resolve) => (this.#whenSettled = resolve));
    this.#deadlines.stop();
    await this.#publisher.close();
  }
}

function elapsed(sinceMs: number): number {
  return Math.max(0, Math.round((performance.now() - sinceMs) * 10) / 10);
}

class Attempt implements Expiring<Attempt> {
  deadlineAtMs = 0;
  earlier: Attempt | null = null;
  later: Attempt | null = null;
  begun = false;
  done = false;
  readonly message: OutgoingMessage;
  readonly signal: AbortSignal;
  readonly #owner: PipelinedSender;
  readonly #resolve: (outcome: SendOutcome) => void;

  constructor(
    owner: PipelinedSender,
    message: OutgoingMessage,
    signal: AbortSignal,
    resolve: (outcome: SendOutcome) => void,
  ) {
    this.#owner = owner;
    this.message = message;
    this.signal = signal;
    this.#resolve = resolve;
  }

  settle(outcome: SendOutcome): void {
    if (this.done) return;
    this.done = true;
    this.#owner.settled(this);
    this.#resolve(outcome);
  }

  cancel(): void {
    this.settle({ kind: 'aborted' });
  }

  expire(): void {
    this.settle(this.#owner.timeout());
  }
}
