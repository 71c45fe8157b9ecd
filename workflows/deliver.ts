import {
  allHandlersFinished,
  condition,
  continueAsNew,
  ParentClosePolicy,
  proxyActivities,
  proxyLocalActivities,
  setHandler,
  startChild,
  upsertSearchAttributes,
  workflowInfo,
  getExternalWorkflowHandle,
  WorkflowIdReusePolicy,
} from '@temporalio/workflow';
import type { Activities, BatchSummary, SplitOff } from '../activities/index.ts';
import { attributesFor, outboxState } from './attributes.ts';
import { CommandDesk } from './commandDesk.ts';
import { recheckSignal, stateQuery, type DeliverInput } from './contract.ts';
import { showOnPage } from './page.ts';

/** No new request is begun in the first workflow task after this: its heartbeats would hold signals up. */
const localSoftLimitMs = 5_000;
/** For settling in SQL after the last answer, PostgreSQL restarting meanwhile included. */
const settleMs = 30_000;
const activitySoftLimitMs = 10 * 60_000;

const infrastructureRetry = {
  initialInterval: '500ms',
  backoffCoefficient: 2,
  maximumInterval: '20s',
} as const;

/**
 * Owns a batch of deliveries, 1..N, until each is delivered, discarded or redirected. What is to be done is in the rows; this
 * workflow keeps time, waits for people and shows itself. It derives its state from the rows after every step, so a
 * reset, a restart or a lost result changes nothing.
 */
export async function deliver(input: DeliverInput): Promise<{ settled: true }> {
  const { resolve } = proxyActivities<Activities>({ startToCloseTimeout: '1m', retry: infrastructureRetry });
  const desk = new CommandDesk(resolve, input.signalsBefore ?? 0);
  let recheck = false;
  let summary: BatchSummary | null = null;
  setHandler(stateQuery, () => ({ summary, commands: desk.lines }), {
    description: 'What is left of this batch, and the commands so far',
  });
  // The UI lists signals in this order: what people send comes first.
  desk.open();
  setHandler(recheckSignal, () => void (recheck = true), { description: 'Internal: look at the rows again' });

  summary = await firstAttempt(input);
  for (;;) {
    const dueAt = summary.nextDueMs === null ? null : Date.now() + lateBy(summary);
    await startSplitOff(summary.singles, input);
    recheck = false;
    while (summary.left > 0 && summary.unsent === 0 && !recheck) {
      show(summary, desk, input);
      if (workflowInfo().continueAsNewSuggested) await startAfresh(input, desk);
      if (await reached(dueAt, () => desk.waiting || recheck)) break;
      if (await desk.work()) break;
    }
    if (summary.left === 0) {
      await desk.work();
      await condition(allHandlersFinished);
      return { settled: true };
    }
    summary = await laterAttempt();
  }
}

/** The next run has a short history and the same rows. Whoever waits for an answer gets it first. */
async function startAfresh(input: DeliverInput, desk: CommandDesk): Promise<void> {
  await desk.work();
  await condition(allHandlersFinished);
  await continueAsNew<typeof deliver>({ ...input, firstAttempt: 'activity', signalsBefore: desk.signals });
}

async function firstAttempt(input: DeliverInput): Promise<BatchSummary> {
  if (input.firstAttempt === 'activity') return laterAttempt();
  const { attempt } = proxyLocalActivities<Activities>({
    startToCloseTimeout: localSoftLimitMs + input.timeoutMs + settleMs,
    retry: infrastructureRetry,
  });
  return attempt({ softLimitMs: localSoftLimitMs });
}

async function laterAttempt(): Promise<BatchSummary> {
  const { attempt } = proxyActivities<Activities>({
    startToCloseTimeout: '1h',
    heartbeatTimeout: '20s',
    retry: infrastructureRetry,
  });
  return attempt({ softLimitMs: activitySoftLimitMs });
}

/**
 * Milliseconds to wait for the next retry. With several, a tenth longer: one activity then sends those that become due
 * shortly after the first. None is ever early.
 */
function lateBy({ nextDueMs, retrying }: BatchSummary): number {
  const waitMs = Math.max(nextDueMs ?? 0, 0);
  return Math.ceil(retrying > 1 ? waitMs * 1.1 : waitMs) + 1;
}

/** Waits for a moment (answers true) or for an interruption (false); without a moment, for an interruption only. */
async function reached(at: number | null, interrupted: () => boolean): Promise<boolean> {
  if (at === null) {
    await condition(interrupted);
    return false;
  }
  const waitMs = at - Date.now();
  return waitMs <= 0 || !(await condition(interrupted, waitMs));
}

/** Failing deliveries that were split off get a workflow each, which outlives this one. */
async function startSplitOff(singles: readonly SplitOff[], input: DeliverInput): Promise<void> {
  await Promise.all(
    singles.map(async (single) => {
      const child: DeliverInput = { ...input, lane: single.lane, firstAttempt: 'activity', signalsBefore: 0 };
      try {
        await startChild('deliver', {
          workflowId: single.workflowId,
          args: [child],
          parentClosePolicy: ParentClosePolicy.ABANDON,
          workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
          staticSummary: single.eventType === null ? single.lane : `${single.eventType} → ${single.lane}`,
          ...(input.searchAttributes ? { typedSearchAttributes: attributesFor(single) } : {}),
        });
      } catch (error) {
        if ((error as Error).name !== 'WorkflowExecutionAlreadyStartedError') throw error;
        // It is alive under this id and may believe its row settled: have it look again.
        await getExternalWorkflowHandle(single.workflowId)
          .signal(recheckSignal)
          .catch(() => undefined);
      }
    }),
  );
}

function show(summary: BatchSummary, desk: CommandDesk, input: DeliverInput): void {
  showOnPage(summary, desk.lines, workflowInfo().workflowId);
  if (!input.searchAttributes) return;
  const state = summary.parked > 0 ? 'parked' : summary.retrying > 0 ? 'retrying' : 'delivering';
  const current = workflowInfo().typedSearchAttributes.get(outboxState);
  if (current !== state) upsertSearchAttributes([{ key: outboxState, value: state }]);
}
