import type { Log } from '../../activities/index.ts';
import { failpoint } from '../failpoints.ts';
import { batchesToCheck, laneOfWorkflow, parkBatch, type BatchToCheck } from '../storage/recovery.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { standingOf } from '../temporal/standing.ts';
import type { Visibility } from '../temporal/visibility.ts';
import { EndedRuns } from './endedRuns.ts';
import { followPause } from './pauses.ts';
import type { Starter } from './starter.ts';

/** Workflows looked at in one pass; a bounded load on Temporal however many are parked. */
const checksPerPass = 50;

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

  constructor(
    db: Queryable,
    temporal: Temporal,
    visibility: Visibility,
    starter: Starter,
    log: Log,
    claimAgeMs: number,
  ) {
    this.#db = db;
    this.#temporal = temporal;
    this.#starter = starter;
    this.#log = log;
    this.#claimAgeMs = claimAgeMs;
    this.#ended = new EndedRuns(temporal, visibility, 'deliver');
  }

  /** Rows whose workflow was not looked at for a while, one by one. */
  async pass(): Promise<void> {
    const suspects = await batchesToCheck(this.#db, this.#claimAgeMs, checksPerPass);
    if (suspects.length > 0) await failpoint('after-look');
    for (const batch of suspects) await this.#settle(batch);
  }

  /** Workflows that were just ended from outside, sooner than their rows' turn comes. */
  async passEnded(): Promise<void> {
    const ofWorkflow = (workflowId: string) => laneOfWorkflow(this.#db, workflowId);
    for (const batch of await this.#ended.look(ofWorkflow, checksPerPass)) await this.#settle(batch);
  }

  /** Only NotFound means missing; a Temporal that does not answer means nothing and ends the pass. */
  async #settle(batch: BatchToCheck): Promise<void> {
    const { is: standing, pause } = await standingOf(this.#temporal, batch.workflowId);
    await followPause(this.#db, this.#log, batch, pause);
    if (standing === 'running' || standing === 'paused') return;
    if ((await laneOfWorkflow(this.#db, batch.workflowId)) === undefined) return;
    // Temporal does not let us look. Where there is none, one is started; where one was ended, only a look would tell why.
    if (standing === 'untold') return this.#starter.startOnce(batch, 'activity', true);
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
}
