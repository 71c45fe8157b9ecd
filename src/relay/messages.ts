import { WorkflowNotFoundError } from '@temporalio/client';
import type { Log } from '../../activities/index.ts';
import { taskQueueName } from '../core/ids.ts';
import {
  claimMessages,
  dropMessageBatch,
  forgetMessages,
  hasMessageBatches,
  messageBatchOf,
  messageBatchesToCheck,
  takeNudges,
  type ClaimedMessages,
  type MessageBatchToCheck,
} from '../storage/messages.ts';
import type { Queryable } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { ensureStarted } from '../temporal/ensureStarted.ts';
import { standingOf } from '../temporal/standing.ts';
import type { Visibility } from '../temporal/visibility.ts';
import { EndedRuns } from './endedRuns.ts';
import { followPause } from './pauses.ts';
import { messageAttributes } from '../../workflows/attributes.ts';
import { recheckSignal, type PreparedMessageInput } from '../../workflows/contract.ts';
import { counted } from '../core/counted.ts';

export interface MessageWatchOptions {
  readonly db: Queryable;
  readonly temporal: Temporal;
  readonly name: string | null;
  readonly visibility: Visibility;
  readonly log: Log;
  /** Age at which a claim's workflow is looked for, milliseconds. */
  readonly claimAgeMs: number;
}

/** Messages one workflow asks back about. */
const batchMaximum = 200;
const nudgesPerPass = 200;
const checksPerPass = 50;
/** Long enough for any repeat of a commit that anybody would still expect to be known; docs/half-messages.md says it. */
const rememberMs = 7 * 24 * 3_600_000;
const forgetAtOnce = 5_000;

/**
 * Half messages whose producer fell silent, on their way to a workflow. Any number of relays do this side by side: claims skip what
 * another one holds. Nothing here is on the way of a message that is committed in time.
 */
export class MessageWatch {
  readonly #options: MessageWatchOptions;
  readonly #ended: EndedRuns;

  constructor(options: MessageWatchOptions) {
    this.#options = options;
    this.#ended = new EndedRuns(options.temporal, options.visibility, 'preparedMessage');
  }

  /** Claims what is overdue and starts a workflow for each batch; tells workflows whose messages were settled meanwhile. */
  async pass(): Promise<void> {
    const { db } = this.#options;
    for (;;) {
      const claimed = await claimMessages(db, batchMaximum);
      // A start that fails ends the pass: the batch keeps its rows, and the look below starts it again.
      for (const batch of claimed) await this.#start(batch);
      if (!claimed.some(({ size }) => size === batchMaximum)) break;
    }
    for (const workflowId of await takeNudges(db, nudgesPerPass)) await this.#tell(workflowId);
  }

  /** Brings rows and workflows together again: whoever terminated one finds it started anew, where messages are left. */
  async reconcile(): Promise<void> {
    const { db, claimAgeMs } = this.#options;
    for (const batch of await messageBatchesToCheck(db, claimAgeMs, checksPerPass)) await this.#settle(batch);
  }

  /** Workflows that were just ended from outside, sooner than their rows' turn comes. */
  async reconcileEnded(): Promise<void> {
    const { db } = this.#options;
    if (!(await hasMessageBatches(db))) return;
    const ofWorkflow = (workflowId: string) => messageBatchOf(db, workflowId);
    for (const batch of await this.#ended.look(ofWorkflow, checksPerPass)) await this.#settle(batch);
  }

  /** Messages settled a week ago are forgotten. */
  async forget(): Promise<void> {
    while ((await forgetMessages(this.#options.db, rememberMs, forgetAtOnce)) === forgetAtOnce);
  }

  async #settle(batch: MessageBatchToCheck): Promise<void> {
    const { log } = this.#options;
    const { workflowId, size } = batch;
    if (size === 0) return this.#tell(workflowId);
    const { is, pause } = await standingOf(this.#options.temporal, workflowId);
    await followPause(this.#options.db, log, batch, pause);
    if (is === 'running' || is === 'paused') return;
    // Temporal does not let us look: whoever ends this workflow only makes it start again, and one that runs is not started twice.
    if (is === 'untold') return this.#start(batch);
    log.warn({ workflowId, messages: size }, 'half messages without a workflow: starting it again');
    await this.#start(batch);
  }

  async #start({ workflowId, producer, size }: ClaimedMessages): Promise<void> {
    const { temporal, name, visibility } = this.#options;
    await visibility.withAttributes((searchAttributes) =>
      ensureStarted(temporal, 'preparedMessage', {
        workflowId,
        taskQueue: taskQueueName(name),
        args: [{ producer, searchAttributes } satisfies PreparedMessageInput],
        staticSummary: `${counted(size, 'half message')} of ${producer}`,
        ...(searchAttributes ? { typedSearchAttributes: messageAttributes('retrying') } : {}),
      }),
    );
  }

  /** Lost news are found by the reconciler, which looks at every batch in turn. */
  async #tell(workflowId: string): Promise<void> {
    const { db, temporal } = this.#options;
    try {
      await temporal.client.workflow.getHandle(workflowId).signal(recheckSignal);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      await dropMessageBatch(db, workflowId);
    }
  }
}
