import {
  ActivityFailure,
  allHandlersFinished,
  ApplicationFailure,
  condition,
  continueAsNew,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities, OpenedBy, Redrive, RedriveLetter } from '../activities/index.ts';
import { parseCommand, type PacedAction } from '../src/core/command.ts';
import { likeLetterOf } from '../src/core/ids.ts';
import { checkRedrive } from '../src/core/redrive.ts';
import { CommandDesk } from './commandDesk.ts';
import { recheckSignal, redriveStateQuery, type RedriveInput, type RedriveOutcome } from './contract.ts';
import { pacedStart } from './pacedInput.ts';
import { showRedrive, startLink } from './redrivePage.ts';

type Desk = CommandDesk<PacedAction, ReturnType<typeof parseCommand<PacedAction>>>;

const descriptions: Record<PacedAction, string> = {
  pause: 'Let nothing more go until it is resumed. Input: empty, or {"reason": "…"}',
  resume: 'Go on. Input: empty',
  cancel: 'End it; what was not let go stays parked. Input: empty, or {"reason": "…"}',
};

const retry = { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '20s' } as const;
const { openRedrive } = proxyActivities<Activities>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '15s',
  retry,
});
const { startRedrive, driveRedrive, commandRedrives, tellHolders } = proxyActivities<Activities>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '15s',
  retry,
});

interface Page {
  readonly desk: Desk;
  redrive: Redrive;
  readonly letters: readonly RedriveLetter[];
  /** Whether the input is the redrive's number, which the start page then takes over. */
  readonly isNumbered: boolean;
  recheck: boolean;
}

/**
 * Lets dead letters go: previews what a request means, or keeps the time of one that was started. What is done, and what becomes of it, is
 * in PostgreSQL; this asks for the next step until it is over, takes commands and shows itself.
 *
 * A preview ends at once, so that nothing waits for whoever forgets it: its last run has `{"redrive": <number>}` as input, which the Temporal
 * UI's start page takes over from it, and a run that a person starts with that is the start.
 *
 * Without any input its id may say what is meant, `redrive/like/<dead letter>`: the start page fills in ids, and no inputs.
 */
export async function redrive(asked?: RedriveInput): Promise<RedriveOutcome> {
  const { redrive: opened, letters } = await openRedrive(openedBy(asked)).catch(sayWhy);
  const input: RedriveInput = asked ?? {};
  const page: Page = {
    desk: openDesk(input, opened.id),
    redrive: opened,
    letters,
    isNumbered: 'redrive' in input,
    recheck: false,
  };
  setHandler(redriveStateQuery, () => ({ redrive: page.redrive, commands: page.desk.lines }), {
    description: 'How far the redrive is, and the commands so far',
  });
  setHandler(recheckSignal, () => void (page.recheck = true), {
    description: 'Internal: look at the rows again',
  });

  if ('redrive' in input ? isPreviewsLastRun(opened) : input.start !== true) {
    if (!('redrive' in input)) await continueAsNew<typeof redrive>(numbered(input, opened.id));
    show(page);
    return { ...outcomeOf(opened), start: startLink() };
  }
  const refused = await start(input, page);
  if (refused !== null) return { ...outcomeOf(page.redrive), refused };
  await untilOver(input, page);
  await page.desk.answerEverybody();
  while (!(await tellHolders(opened.id))) if (workflowInfo().continueAsNewSuggested) break;
  return outcomeOf(page.redrive);
}

function openedBy(input: unknown): OpenedBy {
  const { firstExecutionRunId: requestId, workflowId } = workflowInfo();
  const like = input === undefined ? likeLetterOf(workflowId) : null;
  if (like !== null) return { like, requestId };
  const given = pacedStart<number>(input, {
    name: 'redrive',
    expected: 'the number of a redrive that was previewed',
    check: (value) => Number.isSafeInteger(value) && (value as number) > 0,
    example: '{"destination": "billing", "status": 422}',
  });
  if (typeof given === 'string') refuse(given);
  const { actor = null } = input as { readonly actor?: unknown };
  if (actor !== null && (typeof actor !== 'string' || actor.length > 200))
    refuse('"actor" is a text of at most 200 characters');
  if ('frozen' in given) return { id: given.frozen };
  const { start: begins, actor: _actor, ...request } = given.request;
  if (begins !== undefined && typeof begins !== 'boolean') refuse('"start" is true or false');
  const checked = checkRedrive(request, Date.now());
  if ('problem' in checked) refuse(checked.problem);
  return {
    request: checked,
    actor,
    requestId,
  };
}

/** What only PostgreSQL could tell to be wrong, in the words that the page shows. */
function sayWhy(error: unknown): never {
  if (error instanceof ActivityFailure && error.cause instanceof ApplicationFailure)
    refuse(error.cause.message);
  throw error;
}

function refuse(problem: string): never {
  throw ApplicationFailure.nonRetryable(problem, 'OutboxInputRefused');
}

/** The run that a preview went on to by itself; whoever starts one by its number has a first run. */
function isPreviewsLastRun({ state }: Redrive): boolean {
  return workflowInfo().continuedFromExecutionRunId !== undefined && state === 'previewed';
}

function openDesk(input: RedriveInput, id: number): Desk {
  const desk: Desk = new CommandDesk(
    { descriptions, parse: parseCommand, carryOut: (commands) => commandRedrives({ id, commands }) },
    input,
  );
  desk.open();
  return desk;
}

/** Answers why it was not started, or null. */
async function start(input: RedriveInput, page: Page): Promise<string | null> {
  const { id } = page.redrive;
  const {
    outcome,
    message,
    redrive: standing,
  } = await startRedrive({
    id,
    actor: input.actor ?? null,
    reason: input.reason ?? null,
    commandId: `start/${workflowInfo().firstExecutionRunId}`,
  });
  page.redrive = standing;
  const refused = outcome === 'done' ? null : message;
  show(page, refused);
  return refused;
}

async function untilOver(input: RedriveInput, page: Page): Promise<void> {
  const { desk } = page;
  for (;;) {
    page.recheck = false;
    const { result } = await desk.serveDuring(driveRedrive(page.redrive.id, page.redrive.state), async () =>
      show(page),
    );
    page.redrive = result;
    show(page);
    if (result.endedAt !== null) return;
    if (workflowInfo().continueAsNewSuggested) await startAfresh(input, page);
    if (result.state !== 'paused') continue;
    await condition(() => desk.waiting || page.recheck);
    await desk.work();
  }
}

async function startAfresh(input: RedriveInput, { desk, redrive: { id } }: Page): Promise<void> {
  const carriedOver = allHandlersFinished() ? desk.carriedOver() : null;
  if (carriedOver === null) return;
  await continueAsNew<typeof redrive>({
    ...numbered(input, id),
    ...{ signalsBefore: desk.signals, linesBefore: desk.lines, carriedOver },
  });
}

function numbered({ actor, reason }: RedriveInput, id: number): RedriveInput {
  return {
    redrive: id,
    ...(actor === undefined ? {} : { actor }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function outcomeOf(of: Redrive): RedriveOutcome {
  const { id, state, why, total, done, failed, retrying, skipped, leftOut } = of;
  return { id, state, why, total, done, failed, retrying, skipped, leftOut };
}

function show({ redrive: standing, letters, desk, isNumbered }: Page, refused: string | null = null): void {
  showRedrive(standing, letters, desk.lines, isNumbered, refused);
}
