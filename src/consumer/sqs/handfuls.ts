/** What is asked of SQS for many messages goes ten a request: it bills by the request, and each takes its time. */
import { entriesMax } from '../../destination/sqs/batches.ts';

interface Asked {
  readonly receiptHandle: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Of one of them SQS may say no: at which place of the request, and why. */
export interface Refused {
  readonly at: number;
  readonly why: string;
}

/** Behind a request that hangs nothing waits for longer than this, ms: what is not extended in time is handed to others. */
const patienceMs = 100;

/**
 * One request at a time, and what gathers meanwhile goes with the next: alone nobody waits, under load ten travel together. More at once only where ten wait.
 */
export class Handfuls {
  readonly #send: (receiptHandles: readonly string[]) => Promise<readonly Refused[]>;
  #asked: Asked[] = [];
  #underWay = 0;
  #isDue = false;
  #overdue: NodeJS.Timeout | undefined;

  /** @param send takes ten at most */
  constructor(send: (receiptHandles: readonly string[]) => Promise<readonly Refused[]>) {
    this.#send = send;
  }

  /** Rejects when its request fails, or when SQS refuses it. */
  add(receiptHandle: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ receiptHandle, resolve, reject });
      if (this.#isDue) return;
      this.#isDue = true;
      // With all that ask in the same turn of the event loop.
      setImmediate(() => {
        this.#isDue = false;
        this.#pump();
      });
    });
  }

  #pump(isOverdue = false): void {
    while (
      this.#asked.length >= entriesMax ||
      (this.#asked.length > 0 && (isOverdue || this.#underWay === 0))
    ) {
      const handful = this.#asked.splice(0, entriesMax);
      this.#underWay++;
      void this.#ask(handful).finally(() => {
        this.#underWay--;
        this.#pump();
      });
    }
    if (this.#asked.length > 0)
      this.#overdue ??= setTimeout(() => {
        this.#overdue = undefined;
        this.#pump(true);
      }, patienceMs);
  }

  async #ask(handful: readonly Asked[]): Promise<void> {
    try {
      const refused = await this.#send(handful.map(({ receiptHandle }) => receiptHandle));
      for (const { at, why } of refused) handful[at]?.reject(new Error(why));
      for (const { resolve } of handful) resolve();
    } catch (error) {
      for (const { reject } of handful) reject(error);
    }
  }
}
