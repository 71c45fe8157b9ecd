import { setTimeout as sleep } from 'node:timers/promises';
import type { SpanContext } from '@opentelemetry/api';
import type { Log, SplitOff } from '../../activities/index.ts';
import { taskQueueName } from '../core/ids.ts';
import type { Telemetry } from '../core/telemetry.ts';
import { failpoint } from '../failpoints.ts';
import { releaseBatch, type ClaimedBatch } from '../storage/claims.ts';
import type { Pool } from '../storage/connect.ts';
import type { Temporal } from '../temporal/connect.ts';
import { ensureStarted } from '../temporal/ensureStarted.ts';
import { tracedStart } from '../tracing/start.ts';
import type { Visibility } from '../temporal/visibility.ts';
import type { Handover } from '../worker/handover.ts';
import { aboutDelivery } from '../../workflows/aboutDelivery.ts';
import { attributesFor } from '../../workflows/attributes.ts';
import { recheckSignal, type DeliverInput } from '../../workflows/contract.ts';
import { summaryOf } from '../../workflows/splitOffSummary.ts';
import type { Timeouts } from './timeouts.ts';

export interface StarterOptions {
  readonly pool: Pool;
  readonly temporal: Temporal;
  readonly name: string | null;
  readonly visibility: Visibility;
  readonly log: Log;
  /** Where the claimed batches were left for a worker in this process. */
  readonly handover?: Pick<Handover, 'take'>;
  readonly telemetry: Telemetry;
  readonly timeouts: Timeouts;
}

type Startable = Pick<ClaimedBatch, 'batchId' | 'workflowId' | 'lane'>;

/** A start takes 5 to 10 ms. Waiting for each before the next claim cost 3 ms of latency; not waiting at all piles claims up. */
const undulyMs = 100;
const retryDelayMs = { first: 100, maximum: 5_000 };
/** What a relay that stops waits for starts under way; Temporal may be away, and a start then hangs. */
const stopGraceMs = 2_000;
/** A destination slower than this gets its first attempt as an ordinary activity: a workflow task must not last so long. */
const localTimeoutMs = 30_000;
/** So is one that has so many slow batches already: with each held in a workflow task, a few slow destinations filled a worker. */
const slowAtOnce = 2;

/** Starts `deliver` workflows, eagerly: the first workflow task comes back with the start's own reply. */
export class Starter {
  readonly #options: StarterOptions;
  readonly #underWay = new Map<Promise<void>, ClaimedBatch & { readonly since: number }>();
  #stopping = false;
  #stopped = false;
  readonly #stopSignal = new AbortController();

  constructor(options: StarterOptions) {
    this.#options = options;
  }

  /** Whether a start of this lane takes unduly long: Temporal is slow, or away. */
  isHeldUp(lane: string): boolean {
    const before = performance.now() - undulyMs;
    for (const busy of this.#underWay.values()) if (busy.lane === lane && busy.since < before) return true;
    return false;
  }

  /** `claim`: the span of the claim; undefined where nothing is traced. */
  start(batch: ClaimedBatch, claim?: SpanContext): void {
    const starting: Promise<void> = this.#startAnyhow(batch, claim).finally(() =>
      this.#underWay.delete(starting),
    );
    this.#underWay.set(starting, { ...batch, since: performance.now() });
  }

  /** Gives starts under way a moment; claims of those that are not done by then are given back. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#stopSignal.abort();
    await Promise.race([Promise.all(this.#underWay.keys()), sleep(stopGraceMs)]);
    this.#stopped = true;
    await Promise.all(Array.from(this.#underWay.values(), (batch) => this.#giveBack(batch)));
  }

  /** Repeats the start under the same id until it is certain: already started means started. */
  async #startAnyhow(batch: ClaimedBatch, claim: SpanContext | undefined): Promise<void> {
    const { log, telemetry } = this.#options;
    for (let delayMs = retryDelayMs.first; ; delayMs = Math.min(delayMs * 2, retryDelayMs.maximum)) {
      const askedAt = performance.now();
      try {
        await tracedStart(claim, batch.workflowId, () =>
          this.startOnce(batch, batch.slow < slowAtOnce ? 'local' : 'activity'),
        );
        return telemetry.started('started', performance.now() - askedAt);
      } catch (error) {
        telemetry.started('failed', performance.now() - askedAt);
        if (this.#stopped) return;
        log.warn(
          { workflowId: batch.workflowId, error: reasonOf(error) },
          'workflow not started; trying again',
        );
      }
      if (!this.#stopping)
        await sleep(delayMs, undefined, { signal: this.#stopSignal.signal }).catch(() => undefined);
      if (this.#stopping) return this.#giveBack(batch);
    }
  }

  /** Starts the workflow of deliveries that left a batch which mixes destinations, until that is certain or `signal` says to stop. */
  async startSingle(single: SplitOff, signal: AbortSignal): Promise<void> {
    const { log, telemetry, temporal } = this.#options;
    for (let delayMs = retryDelayMs.first; ; delayMs = Math.min(delayMs * 2, retryDelayMs.maximum)) {
      const askedAt = performance.now();
      try {
        // One that is alive may believe its rows settled.
        if (!(await this.#startOnce(single, 'activity', false)))
          await temporal.client.workflow.getHandle(single.workflowId).signal(recheckSignal);
        return telemetry.started('started', performance.now() - askedAt);
      } catch (error) {
        telemetry.started('failed', performance.now() - askedAt);
        log.warn(
          { workflowId: single.workflowId, error: reasonOf(error) },
          'workflow not started; trying again',
        );
      }
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
    }
  }

  /** One attempt; an unknown outcome throws. `onlyWhereNone`: nothing is started where one of this id has come to an end. */
  async startOnce(
    batch: Startable,
    firstAttempt: DeliverInput['firstAttempt'],
    onlyWhereNone = false,
  ): Promise<void> {
    await failpoint('before-start');
    await this.#startOnce({ ...batch, eventType: null }, firstAttempt, onlyWhereNone);
    await failpoint('after-start');
  }

  async #startOnce(
    batch: Pick<SplitOff, 'workflowId' | 'lane' | 'eventType'>,
    firstAttempt: DeliverInput['firstAttempt'],
    onlyWhereNone: boolean,
  ): Promise<boolean> {
    const { temporal, name, visibility, timeouts } = this.#options;
    const timeoutMs = await timeouts.of(batch.lane);
    const input = {
      lane: batch.lane,
      firstAttempt: timeoutMs > localTimeoutMs ? 'activity' : firstAttempt,
      timeoutMs,
    } as const;
    return visibility.withAttributes((searchAttributes) =>
      ensureStarted(temporal, 'deliver', {
        workflowId: batch.workflowId,
        taskQueue: taskQueueName(name),
        args: [{ ...input, searchAttributes } satisfies DeliverInput],
        requestEagerStart: true,
        ...(onlyWhereNone ? { workflowIdReusePolicy: 'REJECT_DUPLICATE' as const } : {}),
        ...(batch.eventType === null
          ? {}
          : {
              staticSummary: summaryOf(batch),
              staticDetails: aboutDelivery(batch, {
                namespace: temporal.namespace,
                taskQueue: taskQueueName(name),
                searchAttributes,
              }),
            }),
        ...(searchAttributes ? { typedSearchAttributes: attributesFor(batch) } : {}),
      }),
    );
  }

  /**
   * Whether the start arrived need not be known: rows go back only while no execution has opened the batch, and one that opens it
   * later finds nothing to do. What a worker of this process took over unopened may be under way, and stays.
   */
  async #giveBack(batch: ClaimedBatch): Promise<void> {
    const { pool, log, handover } = this.#options;
    if (batch.opened !== null && handover?.take(batch.workflowId) === undefined) return;
    await releaseBatch(pool, batch).catch((error: unknown) =>
      log.warn(
        { workflowId: batch.workflowId, error: String(error) },
        'claim not given back; it is found later',
      ),
    );
  }
}

/** The client says "Failed to start Workflow"; why is in what it wraps. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error ? `${String(error)}: ${cause.message}` : String(error);
}
