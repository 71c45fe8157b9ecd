import { WorkflowNotFoundError } from '@temporalio/client';
import type { Log } from '../../activities/index.ts';
import { failpoint } from '../failpoints.ts';
import { batchesToCheck, laneOfWorkflow, parkBatch, type BatchToCheck } from '../storage/recovery.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { EndedRuns } from './endedRuns.ts';
import type { Starter } from './starter.ts';

/** Workflows looked at in one pass; a bounded load on Temporal however many are parked. */
const checksPerPass = 50;

/** How a workflow stands that should own a batch. */
type Standing = 'running' | 'missing' | 'terminated' | 'canceled' | 'failed';

/**
 * Compares rows with workflows. PostgreSQL says what is to be done; a batch whose workflow is gone gets one again, and what
 * somebody terminated or cancelled is parked with that reason, not sent again behind that person's back.
 */
export class Reconciler {
  readonly #db: Queryable;
  readonly #temporal: Temporal;
  readonly #starter: Starter;
  readonly #log: Log;
  readonly #claimAgeMs: number;
  readonly #ended: EndedRuns;

  constructor(db: Queryable, temporal: Temporal, starter: Starter, log: Log, claimAgeMs: number) {
    this.#db = db;
    this.#temporal = temporal;
    this.#starter = starter;
    this.#log = log;
    this.#claimAgeMs = claimAgeMs;
    this.#ended = new EndedRuns(temporal, 'deliver');
  }

  async pass(): Promise<void> {
    const suspects = new Map<string, BatchToCheck>();
    for (const batch of await batchesToCheck(this.#db, this.#claimAgeMs, checksPerPass))
      suspects.set(batch.workflowId, batch);
    if (suspects.size > 0) await failpoint('after-look');
    const ofWorkflow = (workflowId: string) => laneOfWorkflow(this.#db, workflowId);
    for (const batch of await this.#ended.look(ofWorkflow, checksPerPass))
      suspects.set(batch.workflowId, batch);
    for (const batch of suspects.values()) await this.#settle(batch);
  }

  async #settle(batch: BatchToCheck): Promise<void> {
    const standing = await this.#standingOf(batch.workflowId);
    if (standing === 'running' || (await laneOfWorkflow(this.#db, batch.workflowId)) === undefined) return;
    if (standing !== 'missing') {
      const left = await parkBatch(this.#db, batch.workflowId, standing, batch.run);
      this.#log.warn(
        { workflowId: batch.workflowId, standing, left },
        'workflow was ended from outside: its deliveries are parked',
      );
      if (left === 0) return;
      await failpoint('after-park');
    } else {
      this.#log.warn({ workflowId: batch.workflowId }, 'rows without a workflow: starting it again');
    }
    await failpoint('before-restart');
    await this.#starter.startOnce(batch, 'activity');
  }

  /** Only NotFound means missing; a Temporal that does not answer means nothing and ends the pass. */
  async #standingOf(workflowId: string): Promise<Standing> {
    try {
      const { status } = await this.#temporal.client.workflow.getHandle(workflowId).describe();
      switch (status.name) {
        case 'TERMINATED':
          return 'terminated';
        case 'CANCELLED':
          return 'canceled';
        case 'FAILED':
        case 'TIMED_OUT':
          return 'failed';
        case 'COMPLETED':
          return 'missing';
        default:
          return 'running';
      }
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return 'missing';
      throw error;
    }
  }
}
