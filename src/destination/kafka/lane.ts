/** The way to one partition: while a batch is under way, the next one gathers. So batches are large when there is much, and nobody waits for them when there is not. */
import { SendFailure } from '../shared/failures.ts';
import type { KafkaRecord } from './message.ts';

interface Waiting {
  readonly record: KafkaRecord;
  readonly attempt: { readonly done: boolean };
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface LaneOptions {
  /** Sends a batch; rejects with a SendFailure. */
  readonly send: (records: readonly KafkaRecord[]) => Promise<void>;
  readonly bytesMax: number;
}

const recordsMax = 1000;

export class PartitionLane {
  readonly #options: LaneOptions;
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  add(record: KafkaRecord, attempt: { readonly done: boolean }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ record, attempt, resolve, reject });
      if (this.#busy) return;
      this.#busy = true;
      // Those of the same moment travel together.
      setImmediate(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) await this.#send(this.#take());
    this.#busy = false;
  }

  #take(): Waiting[] {
    const batch: Waiting[] = [];
    let bytes = 0;
    let next = 0;
    for (; next < this.#waiting.length; next++) {
      const each = this.#waiting[next]!;
      // Its deadline has passed: nobody waits for it.
      if (each.attempt.done) {
        each.resolve();
        continue;
      }
      bytes += each.record.bytes;
      if (batch.length > 0 && (bytes > this.#options.bytesMax || batch.length >= recordsMax)) break;
      batch.push(each);
    }
    this.#waiting = this.#waiting.slice(next);
    return batch;
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    if (batch.length === 0) return;
    try {
      await this.#options.send(batch.map(({ record }) => record));
      for (const { resolve } of batch) resolve();
    } catch (error) {
      // A batch is refused whole for one of its records: each says for itself.
      if (batch.length > 1 && isAboutARecord(error)) for (const each of batch) await this.#send([each]);
      else for (const { reject } of batch) reject(error);
    }
  }
}

function isAboutARecord(error: unknown): boolean {
  return error instanceof SendFailure && ['rejected', 'too-large'].includes(error.errorClass);
}
