/** Messages that are sent at about the same time, ten a request: SQS bills and answers by the request. */
import { bytesMax, type SqsMessage } from './message.ts';

export interface Waiting {
  readonly message: SqsMessage;
  readonly attempt: { readonly done: boolean };
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Of SQS: so many a request, of any kind. */
export const entriesMax = 10;

/** Hands over what came within one turn of the event loop, in its order, as many at once as a request takes. */
export class Batches {
  #waiting: Waiting[] = [];
  #bytes = 0;
  #scheduled = false;
  readonly #send: (batch: readonly Waiting[]) => void;

  constructor(send: (batch: readonly Waiting[]) => void) {
    this.#send = send;
  }

  add(waiting: Waiting): void {
    const { bytes } = waiting.message;
    if (this.#bytes + bytes > bytesMax) this.#flush();
    this.#waiting.push(waiting);
    this.#bytes += bytes;
    if (this.#waiting.length === entriesMax) return this.#flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const batch = this.#waiting.filter(({ attempt }) => !attempt.done);
    this.#waiting = [];
    this.#bytes = 0;
    if (batch.length > 0) this.#send(batch);
  }
}
