import type { Temporal } from '../temporal/connect.ts';

/** Visibility lags behind: each look goes this far back beyond the last one. */
const overlapMs = 60_000;

/**
 * Runs of a workflow type that somebody terminated or cancelled, or that failed, as visibility tells them: within a look or two, however
 * many workflows there are. What it misses is found where rows are compared with their workflows one by one.
 */
export class EndedRuns {
  readonly #temporal: Temporal;
  readonly #workflowType: 'deliver' | 'preparedMessage';
  #lookedUntil = new Date(Date.now() - overlapMs);
  /** Runs that were told, by when they ended: visibility goes on naming them for as long as it is asked back. */
  readonly #told = new Map<string, number>();

  constructor(temporal: Temporal, workflowType: 'deliver' | 'preparedMessage') {
    this.#temporal = temporal;
    this.#workflowType = workflowType;
  }

  /** What they owned, each run told once; `ownedBy` answers undefined where that is nothing. */
  async look<Owned>(
    ownedBy: (workflowId: string) => Promise<Owned | undefined>,
    atMost: number,
  ): Promise<Owned[]> {
    const since = new Date(this.#lookedUntil.getTime() - overlapMs).toISOString();
    const now = new Date();
    this.#forgetBefore(now.getTime() - 3 * overlapMs);
    const found: Owned[] = [];
    const query =
      `WorkflowType = "${this.#workflowType}" AND CloseTime > "${since}" AND ` +
      `ExecutionStatus IN ("Terminated", "Canceled", "Failed", "TimedOut")`;
    for await (const { workflowId, runId, closeTime } of this.#temporal.client.workflow.list({
      query,
      pageSize: 200,
    })) {
      if (this.#told.has(runId)) continue;
      const owned = await ownedBy(workflowId);
      if (owned !== undefined) found.push(owned);
      this.#told.set(runId, closeTime?.getTime() ?? now.getTime());
      // More of them: the next look goes on where this one ends.
      if (found.length >= atMost) return found;
    }
    this.#lookedUntil = now;
    return found;
  }

  #forgetBefore(time: number): void {
    for (const [runId, endedAt] of this.#told) if (endedAt < time) this.#told.delete(runId);
  }
}
