import {
  allHandlersFinished,
  condition,
  continueAsNew,
  patched,
  proxyActivities,
  proxyLocalActivities,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities, BatchSummary } from '../activities/index.ts';
import { parseCommand, type ParsedCommand, type ResolutionAction } from '../src/core/command.ts';
import { outboxState } from './attributes.ts';
import { attributesNow } from './attributesNow.ts';
import { checkInput, commonFields, nameField, timeoutField } from './checkInput.ts';
import { CommandDesk } from './commandDesk.ts';
import { recheckSignal, stateQuery, type DeliverInput } from './contract.ts';
import { showOnPage } from './page.ts';
import { startSplitOff } from './splitOff.ts';

/** No new request is begun in the first workflow task after this: its heartbeats would hold signals up. */
const localSoftLimitMs = 5_000;
/** For settling in SQL after the last answer, PostgreSQL restarting meanwhile included. */
const settleMs = 30_000;
const activitySoftLimitMs = 10 * 60_000;
/** A timer of Temporal comes up to a second late. What is due sooner than that waits inside its attempt. */
const timerPrecisionMs = 1_000;

type ResolutionDesk = CommandDesk<ResolutionAction, ParsedCommand>;

const descriptions: Record<ResolutionAction, string> = {
  retry: 'Send it again, policy afresh, same key. Input: empty, or {"event": "<id>"}',
  edit: 'Correct and send under a new key. Input: {"payload": …} and/or {"headers": {…}}',
  redirect: 'Send it elsewhere instead. Input: {"to": "<destination>"}',
  discard: 'Give it up, for the record. Input: {"reason": "…"}',
};

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
  checkInput('deliver', input, {
    lane: nameField,
    firstAttempt: ['local or activity', (value) => value === 'local' || value === 'activity'],
    timeoutMs: timeoutField,
    ...commonFields,
  });
  // A worker that died over it is noticed by its silence: somebody waits for the answer.
  const { resolve } = proxyActivities<Activities>({
    startToCloseTimeout: '5m',
    heartbeatTimeout: '15s',
    retry: infrastructureRetry,
  });
  const desk: ResolutionDesk = new CommandDesk(
    { descriptions, parse: parseCommand, carryOut: resolve },
    input,
  );
  const page: Page = { input, desk, summary: null, recheck: false };
  setHandler(stateQuery, () => ({ summary: page.summary, commands: desk.lines }), {
    description: 'What is left of this batch, and the commands so far',
  });
  // The UI lists signals in this order: what people send comes first.
  desk.open();
  setHandler(recheckSignal, () => void (page.recheck = true), {
    description: 'Internal: look at the rows again',
  });

  let waitMs = 0;
  for (let attempt = () => firstAttempt(input); ; attempt = () => laterAttempt(waitMs)) {
    page.recheck = false;
    const { result: summary, acted } = await desk.serveDuring(attempt(), async () => {
      if (page.summary !== null) await show(page, page.summary);
    });
    waitMs = 0;
    page.summary = summary;
    await startSplitOff(summary.singles, input);
    // What was summed up may be older than what a command did, or somebody else, meanwhile.
    if (acted || page.recheck || summary.unsent > 0) continue;
    if (summary.left === 0) {
      await desk.answerEverybody();
      return { settled: true };
    }
    waitMs = await rest(page, summary);
  }
}

interface Page {
  readonly input: DeliverInput;
  readonly desk: ResolutionDesk;
  summary: BatchSummary | null;
  recheck: boolean;
}

/**
 * Until a retry is due, or a command or somebody outside changed a row. Answers milliseconds that are left for the attempt itself to
 * wait; 0 for most.
 */
async function rest(page: Page, summary: BatchSummary): Promise<number> {
  const { desk } = page;
  if (isDueSoon(summary) && !workflowInfo().continueAsNewSuggested && patched('due-soon-waits-in-attempt')) {
    await show(page, summary);
    return lateBy(summary);
  }
  const dueAt = summary.nextDueMs === null ? null : Date.now() + lateBy(summary);
  for (;;) {
    await show(page, summary);
    if (workflowInfo().continueAsNewSuggested) await startAfresh(page);
    const due = await reached(dueAt, () => desk.waiting || page.recheck);
    if (due || page.recheck || (await desk.work())) return 0;
  }
}

/**
 * The next run has a short history, the same rows, and the signals that this one did not come to: in a flood there would be no
 * end to them, and Temporal takes ten thousand a run.
 */
async function startAfresh({ input, desk }: Page): Promise<void> {
  for (;;) {
    const carriedOver = allHandlersFinished() ? desk.carriedOver() : null;
    if (carriedOver !== null) {
      await continueAsNew<typeof deliver>({
        ...input,
        firstAttempt: 'activity',
        signalsBefore: desk.signals,
        linesBefore: desk.lines,
        carriedOver,
      });
    }
    await desk.work();
    await condition(() => desk.waiting || allHandlersFinished());
  }
}

async function firstAttempt(input: DeliverInput): Promise<BatchSummary> {
  if (input.firstAttempt === 'activity') return laterAttempt(0);
  const { attempt } = proxyLocalActivities<Activities>({
    startToCloseTimeout: localSoftLimitMs + input.timeoutMs + settleMs,
    retry: infrastructureRetry,
  });
  return attempt({ softLimitMs: localSoftLimitMs });
}

async function laterAttempt(waitMs: number): Promise<BatchSummary> {
  const { attempt } = proxyActivities<Activities>({
    startToCloseTimeout: '1h',
    heartbeatTimeout: '20s',
    retry: infrastructureRetry,
  });
  return attempt({ softLimitMs: activitySoftLimitMs, ...(waitMs > 0 ? { waitMs } : {}) });
}

/**
 * Milliseconds to wait for the next retry. With several, a tenth longer: one activity then sends those that become due
 * shortly after the first. None is ever early.
 */
function lateBy({ nextDueMs, retrying }: BatchSummary): number {
  const waitMs = Math.max(nextDueMs ?? 0, 0);
  return Math.ceil(retrying > 1 ? waitMs * 1.1 : waitMs) + 1;
}

function isDueSoon(summary: BatchSummary): boolean {
  return summary.nextDueMs !== null && lateBy(summary) <= timerPrecisionMs;
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

async function show({ desk, input }: Page, summary: BatchSummary): Promise<void> {
  const { namespace, taskQueue, workflowId } = workflowInfo();
  const { searchAttributes } = input;
  showOnPage(summary, desk.lines, { namespace, taskQueue, workflowId, searchAttributes });
  if (!input.searchAttributes) return;
  const state = summary.parked > 0 ? 'parked' : summary.retrying > 0 ? 'retrying' : 'delivering';
  const current = workflowInfo().typedSearchAttributes.get(outboxState);
  if (current !== state && (await attributesNow(true)))
    upsertSearchAttributes([{ key: outboxState, value: state }]);
}
