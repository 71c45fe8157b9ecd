/** Messages at work are extended ten a request: SQS bills by the request, and those of a group keep one time. */
import { entriesMax } from '../../destination/sqs/batches.ts';

export class Extensions {
  #waiting: string[] = [];
  #sent: Promise<unknown> | undefined;
  readonly #send: (receiptHandles: readonly string[]) => Promise<unknown>;

  /** @param send takes ten at most */
  constructor(send: (receiptHandles: readonly string[]) => Promise<unknown>) {
    this.#send = send;
  }

  /** With all that ask in the same turn of the event loop; rejects when one of their requests does. */
  add(receiptHandle: string): Promise<unknown> {
    this.#waiting.push(receiptHandle);
    this.#sent ??= new Promise((resolve) => setImmediate(resolve)).then(() => this.#flush());
    return this.#sent;
  }

  async #flush(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#sent = undefined;
    const requests: Promise<unknown>[] = [];
    for (let from = 0; from < waiting.length; from += entriesMax)
      requests.push(this.#send(waiting.slice(from, from + entriesMax)));
    await Promise.all(requests);
  }
}
