import { unlessAborted } from '../src/core/unlessAborted.ts';

/**
 * Executions of this process by workflow. One that still holds outcomes goes on after its activity's time limit, until they are
 * written; the next execution of its batch waits for it, as opening the batch would fence it and send its rows again.
 */
export class UnderWay {
  readonly #byWorkflow = new Map<string, Promise<unknown>>();

  /** Does the work after what is under way for the same workflow. Rejects when `signal` aborts before its turn. */
  async inTurn<T>(workflowId: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    for (
      let earlier = this.#earlier(workflowId);
      earlier !== undefined;
      earlier = this.#earlier(workflowId)
    ) {
      await unlessAborted(earlier, signal);
      signal.throwIfAborted();
    }
    const own = work();
    const ended = own.then(
      () => undefined,
      () => undefined,
    );
    this.#byWorkflow.set(workflowId, ended);
    try {
      return await own;
    } finally {
      if (this.#byWorkflow.get(workflowId) === ended) this.#byWorkflow.delete(workflowId);
    }
  }

  #earlier(workflowId: string): Promise<unknown> | undefined {
    return this.#byWorkflow.get(workflowId);
  }
}
