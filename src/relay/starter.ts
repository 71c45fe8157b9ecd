import { setTimeout as sleep } from 'node:timers/promises';
import { isGrpcServiceError, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Log } from '../../activities/index.ts';
import { taskQueueName } from '../core/ids.ts';
import { readDestinations } from '../storage/configuration.ts';
import { releaseBatch, type ClaimedBatch } from '../storage/claims.ts';
import type { Pool } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { attributesFor } from '../../workflows/attributes.ts';
import type { DeliverInput } from '../../workflows/contract.ts';

export interface StarterOptions {
  readonly pool: Pool;
  readonly temporal: Temporal;
  readonly name: string | null;
  readonly searchAttributes: boolean;
  readonly log: Log;
}

type Startable = Pick<ClaimedBatch, 'batchId' | 'workflowId' | 'lane'>;

const startDeadlineMs = 10_000;
const retryDelayMs = { first: 100, maximum: 5_000 };
/** A destination slower than this gets its first attempt as an ordinary activity: a workflow task must not last so long. */
const localTimeoutMs = 30_000;
const assumedTimeoutMs = 15_000;

/** Starts `deliver` workflows, eagerly: the first workflow task comes back with the start's own reply. */
export class Starter {
  readonly #options: StarterOptions;
  readonly #timeouts = new Map<string, number>();
  readonly #underWay = new Map<Promise<void>, string>();
  #stopping = false;
  readonly #stopSignal = new AbortController();

  constructor(options: StarterOptions) {
    this.#options = options;
  }

  /** Whether a start of this lane is still under way. */
  isBusy(lane: string): boolean {
    for (const busy of this.#underWay.values()) if (busy === lane) return true;
    return false;
  }

  start(batch: ClaimedBatch): void {
    const starting: Promise<void> = this.#startAnyhow(batch).finally(() => this.#underWay.delete(starting));
    this.#underWay.set(starting, batch.lane);
  }

  /** Waits for starts under way; claims whose start certainly never reached Temporal are given back. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#stopSignal.abort();
    await Promise.all(this.#underWay.keys());
  }

  /** Repeats the start under the same id until it is certain: already started means started. */
  async #startAnyhow(batch: ClaimedBatch): Promise<void> {
    const { log } = this.#options;
    let mayHaveStarted = false;
    for (let delayMs = retryDelayMs.first; ; delayMs = Math.min(delayMs * 2, retryDelayMs.maximum)) {
      try {
        return await this.startOnce(batch, 'local');
      } catch (error) {
        mayHaveStarted ||= !isCertainlyNotStarted(error);
        log.warn(
          { workflowId: batch.workflowId, error: String(error) },
          'workflow not started; trying again',
        );
      }
      if (!this.#stopping)
        await sleep(delayMs, undefined, { signal: this.#stopSignal.signal }).catch(() => undefined);
      if (this.#stopping) return this.#giveBack(batch, mayHaveStarted);
    }
  }

  /** One attempt; an unknown outcome throws. */
  async startOnce(batch: Startable, firstAttempt: DeliverInput['firstAttempt']): Promise<void> {
    const { temporal, name, searchAttributes } = this.#options;
    const timeoutMs = await this.#timeoutOf(batch.lane);
    const input: DeliverInput = {
      lane: batch.lane,
      firstAttempt: timeoutMs > localTimeoutMs ? 'activity' : firstAttempt,
      timeoutMs,
      searchAttributes,
    };
    try {
      await temporal.client.withDeadline(Date.now() + startDeadlineMs, () =>
        temporal.client.workflow.start('deliver', {
          workflowId: batch.workflowId,
          taskQueue: taskQueueName(name),
          args: [input],
          requestEagerStart: true,
          ...(searchAttributes
            ? { typedSearchAttributes: attributesFor({ lane: batch.lane, eventType: null }) }
            : {}),
        }),
      );
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }

  async #giveBack(batch: ClaimedBatch, mayHaveStarted: boolean): Promise<void> {
    // Unknown outcomes are left to a reconciler, which asks Temporal.
    if (mayHaveStarted) return;
    await releaseBatch(this.#options.pool, batch).catch(() => undefined);
  }

  async #timeoutOf(lane: string): Promise<number> {
    if (!this.#timeouts.has(lane)) {
      const { destinations } = await readDestinations(this.#options.pool);
      for (const { name, timeoutMs } of destinations) this.#timeouts.set(name, timeoutMs);
    }
    return this.#timeouts.get(lane) ?? assumedTimeoutMs;
  }
}

/** gRPC status codes. */
const resourceExhausted = 8;
const unavailable = 14;

/** The server said no, or was not reached at all; anything else leaves open whether it acted. */
function isCertainlyNotStarted(error: unknown): boolean {
  if (!isGrpcServiceError(error)) return false;
  const code: number = error.code;
  return code === resourceExhausted || (code === unavailable && /connect|refused/i.test(error.message));
}
