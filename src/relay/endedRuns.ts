import type { Temporal } from '../temporal/connect.ts';
import type { Visibility } from '../temporal/visibility.ts';

/** Visibility lags behind: each look goes this far back beyond the last one. */
const overlapMs = 60_000;
/** Runs listed in one look; the next one goes on. */
const runsPerLook = 1_000;

interface EndedRun {
  readonly workflowId: string;
  readonly runId: string;
  readonly endedAt: number;
}

/**
 * Runs of a workflow type that somebody terminated or cancelled, or that failed, as visibility tells them: within a look or two, however
 * many workflows there are. What it misses, all of it where Temporal lists nothing, is found where rows are compared with their
 * workflows one by one.
 */
export class EndedRuns {
  readonly #temporal: Temporal;
  readonly #visibility: Visibility;
  readonly #workflowType: 'deliver' | 'preparedMessage';
  #lookedUntil = new Date(Date.now() - overlapMs);
  /** Runs that were told, by when they ended: visibility goes on naming them for as long as it is asked back. */
  readonly #told = new Map<string, number>();

  constructor(temporal: Temporal, visibility: Visibility, workflowType: 'deliver' | 'preparedMessage') {
    this.#temporal = temporal;
    this.#visibility = visibility;
    this.#workflowType = workflowType;
  }

  /** What they owned, each run told once; `ownedBy` answers undefined where that is nothing. */
  async look<Owned>(
    ownedBy: (workflowId: string) => Promise<Owned | undefined>,
    atMost: number,
  ): Promise<Owned[]> {
    const now = new Date();
    const runs = await this.#visibility.list(() => this.#untold(now));
    if (runs === undefined) return [];
    const found: Owned[] = [];
    for (const { workflowId, runId, endedAt } of runs) {
      const owned = await ownedBy(workflowId);
      if (owned !== undefined) found.push(owned);
      this.#told.set(runId, endedAt);
      // More of them: the next look goes on where this one ends.
      if (found.length >= atMost) return found;
    }
    if (runs.length < runsPerLook) this.#lookedUntil = now;
    return found;
  }

  async #untold(now: Date): Promise<EndedRun[]> {
    const since = new Date(this.#lookedUntil.getTime() - overlapMs);
    for (const [runId, endedAt] of this.#told)
      if (endedAt < since.getTime() - overlapMs) this.#told.delete(runId);
    const query =
      `WorkflowType = "${this.#workflowType}" AND CloseTime > "${since.toISOString()}" AND ` +
      `ExecutionStatus IN ("Terminated", "Canceled", "Failed", "TimedOut")`;
    const runs: EndedRun[] = [];
    const listed = this.#temporal.client.workflow.list({ query, pageSize: 200 });
    for await (const { workflowId, runId, closeTime } of listed) {
      if (this.#told.has(runId)) continue;
      runs.push({ workflowId, runId, endedAt: closeTime?.getTime() ?? now.getTime() });
      if (runs.length === runsPerLook) break;
    }
    return runs;
  }
}
