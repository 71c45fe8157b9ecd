import {
  allHandlersFinished,
  condition,
  continueAsNew,
  proxyActivities,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities, MessageSummary } from '../activities/index.ts';
import { parseCommand, type MessageAction, type ParsedCommand } from '../src/core/command.ts';
import { messageAttributes, outboxState } from './attributes.ts';
import { attributesNow } from './attributesNow.ts';
import { checkInput, commonFields, nameField } from './checkInput.ts';
import { CommandDesk } from './commandDesk.ts';
import { messageStateQuery, recheckSignal, type PreparedMessageInput } from './contract.ts';
import { ensureChild } from './ensureChild.ts';
import { showMessages } from './messagePage.ts';

type Desk = CommandDesk<MessageAction, ParsedCommand<MessageAction>>;

interface Page {
  readonly input: PreparedMessageInput;
  readonly desk: Desk;
  summary: MessageSummary | null;
  recheck: boolean;
}

const descriptions: Record<MessageAction, string> = {
  commit: 'The producer’s work was done: deliver it. Input: empty, or {"event": "<id>"}',
  rollback: 'It was not: give it up. Input: empty, or {"reason": "…"}',
  check: 'Ask the producer again, its schedule from the beginning. Input: empty',
};

const retry = { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '20s' } as const;

/** No further check-back is begun after this; what is under way is waited for. */
const softLimitMs = 10 * 60_000;

/** Workflows of parked messages started at a time. */
const startsAtOnce = 20;

/**
 * Owns half messages whose producer fell silent: asks it back on its schedule, until each is committed or rolled back. What stays
 * unknown gets a workflow of its own, of this same type, which waits for a person. What is so is in the rows: whoever ends this
 * only makes a relay start it again.
 */
export async function preparedMessage(input: PreparedMessageInput): Promise<{ settled: true }> {
  checkInput('preparedMessage', input, { producer: nameField, ...commonFields });
  const { checkBack } = proxyActivities<Activities>({
    startToCloseTimeout: '1h',
    heartbeatTimeout: '20s',
    retry,
  });
  const { resolveMessages } = proxyActivities<Activities>({
    startToCloseTimeout: '5m',
    heartbeatTimeout: '15s',
    retry,
  });
  const desk: Desk = new CommandDesk({ descriptions, parse: parseCommand, carryOut: resolveMessages }, input);
  const page: Page = { input, desk, summary: null, recheck: false };
  setHandler(messageStateQuery, () => ({ summary: page.summary, commands: desk.lines }), {
    description: 'What is left of these messages, and the commands so far',
  });
  // The UI lists signals in this order: what people send comes first.
  desk.open();
  setHandler(recheckSignal, () => void (page.recheck = true), {
    description: 'Internal: look at the rows again',
  });

  const started = new Set<string>();
  for (;;) {
    page.recheck = false;
    const { summary, acted } = await whileServing(page, checkBack({ softLimitMs }));
    page.summary = summary;
    await startParked(summary.singles, started, input);
    // What was summed up may be older than what a command did, or somebody else, meanwhile.
    if (acted || page.recheck) continue;
    if (summary.left === 0) {
      await desk.answerEverybody();
      return { settled: true };
    }
    await rest(page, summary);
  }
}

/** Carries out commands while check-backs are under way; a producer that does not answer must not keep a person waiting. */
async function whileServing(
  page: Page,
  checking: Promise<MessageSummary>,
): Promise<{ summary: MessageSummary; acted: boolean }> {
  const { desk } = page;
  let over = false;
  let acted = false;
  const end = (): void => void (over = true);
  checking.then(end, end);
  for (;;) {
    await condition(() => over || desk.waiting);
    if (over) return { summary: await checking, acted };
    if (await desk.work()) acted = true;
    if (page.summary !== null) await show(page, page.summary);
  }
}

/** Until a check-back is due, or a command or somebody outside changed a row. */
async function rest(page: Page, summary: MessageSummary): Promise<void> {
  const { desk } = page;
  const dueAt = summary.nextCheckMs === null ? null : Date.now() + lateBy(summary.nextCheckMs);
  const interrupted = (): boolean => desk.waiting || page.recheck;
  for (;;) {
    await show(page, summary);
    if (workflowInfo().continueAsNewSuggested) await startAfresh(page);
    if (dueAt === null) await condition(interrupted);
    else if (Date.now() >= dueAt || !(await condition(interrupted, dueAt - Date.now()))) return;
    if (page.recheck || (await desk.work())) return;
  }
}

/** A tenth later than the first is due: those that follow it shortly are asked about with it. */
function lateBy(nextCheckMs: number): number {
  return Math.ceil(Math.max(nextCheckMs, 0) * 1.1) + 1;
}

/** As in `deliver`: a short history, the same rows, and the signals that this run did not come to. */
async function startAfresh({ input, desk }: Page): Promise<void> {
  for (;;) {
    const carriedOver = allHandlersFinished() ? desk.carriedOver() : null;
    if (carriedOver !== null) {
      await continueAsNew<typeof preparedMessage>({
        ...input,
        signalsBefore: desk.signals,
        linesBefore: desk.lines,
        carriedOver,
      });
    }
    await desk.work();
    await condition(() => desk.waiting || allHandlersFinished());
  }
}

/**
 * Parked messages get a workflow each, which outlives this one. Where workers are behind, hundreds stand in line to begin: to start those
 * again each round would only lengthen it. The reconciler finds what was started and is gone.
 */
async function startParked(
  singles: MessageSummary['singles'],
  started: Set<string>,
  { searchAttributes: atStart }: PreparedMessageInput,
): Promise<void> {
  const fresh = singles.filter(({ workflowId }) => !started.has(workflowId));
  for (const { workflowId } of fresh) started.add(workflowId);
  if (fresh.length === 0) return;
  const searchAttributes = await attributesNow(atStart);
  for (let first = 0; first < fresh.length; first += startsAtOnce) {
    await Promise.all(
      fresh.slice(first, first + startsAtOnce).map(({ workflowId, producer }) =>
        ensureChild<PreparedMessageInput>('preparedMessage', {
          workflowId,
          args: [{ producer, searchAttributes }],
          staticSummary: `half message of ${producer}, parked`,
          ...(searchAttributes ? { typedSearchAttributes: messageAttributes('parked') } : {}),
        }),
      ),
    );
  }
}

async function show({ desk, input }: Page, summary: MessageSummary): Promise<void> {
  showMessages(summary, desk.lines);
  if (!input.searchAttributes) return;
  const state = summary.parked > 0 ? 'parked' : 'retrying';
  const current = workflowInfo().typedSearchAttributes.get(outboxState);
  if (current !== state && (await attributesNow(true)))
    upsertSearchAttributes([{ key: outboxState, value: state }]);
}
