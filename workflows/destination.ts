import {
  allHandlersFinished,
  condition,
  continueAsNew,
  patched,
  proxyActivities,
  setHandler,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities, DestinationStanding } from '../activities/index.ts';
import {
  parseDestinationCommand,
  type DestinationAction,
  type ParsedDestinationCommand,
} from '../src/core/command.ts';
import { checkInput, commonFields, nameField, timeoutField } from './checkInput.ts';
import { CommandDesk, type Received } from './commandDesk.ts';
import { destinationStateQuery, recheckSignal, type DestinationWorkflowInput } from './contract.ts';
import { showDestination } from './destinationPage.ts';
import { startSplitOff } from './splitOff.ts';

type Desk = CommandDesk<DestinationAction, ParsedDestinationCommand>;

interface Watch {
  readonly input: DestinationWorkflowInput;
  readonly desk: Desk;
  standing: DestinationStanding | null;
  /** How it stands as a probe just told; null where the rows are to be looked at. */
  told: DestinationStanding | null;
  recheck: boolean;
}

const descriptions: Record<DestinationAction, string> = {
  pause: 'Send nothing to it until it is resumed. Input: empty, or {"reason": "…"}',
  resume: 'Send again, at once. Input: empty, or {"reason": "…"}',
  probe: 'Try a few events now, in place of waiting for the next probe. Input: empty',
  park: 'While paused: park old pending events in one workflow. Input: {"olderThan": "1d"}',
};

const { probeDestination, commandDestination } = proxyActivities<Activities>({
  startToCloseTimeout: '1h',
  heartbeatTimeout: '20s',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '20s' },
});

/** A look is one short query: one that a worker took with it into its death is soon made by another. */
const { lookAtDestination: look } = proxyActivities<Activities>({
  startToCloseTimeout: '10s',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '20s' },
});

/**
 * Lives while a destination is paused or its circuit is not closed: keeps the time of its probes, takes commands, shows what is the
 * matter. What is so is in the rows; whoever terminates this only makes a relay start it again.
 */
export async function destination(input: DestinationWorkflowInput): Promise<{ closed: true }> {
  checkInput('destination', input, { name: nameField, timeoutMs: timeoutField, ...commonFields });
  const desk: Desk = new CommandDesk(
    {
      descriptions,
      parse: parseDestinationCommand,
      carryOut: (commands) => carryOut(input, commands),
    },
    input,
  );
  const watch: Watch = { input, desk, standing: null, told: null, recheck: false };
  setHandler(destinationStateQuery, () => ({ standing: watch.standing, commands: desk.lines }), {
    description: 'How the destination stands, and the commands so far',
  });
  desk.open();
  setHandler(recheckSignal, () => void (watch.recheck = true), {
    description: 'Internal: look at the rows again',
  });

  for (;;) {
    watch.recheck = false;
    watch.standing = watch.told ?? (await look(input.name));
    watch.told = null;
    showDestination(watch.standing, desk.lines);
    if (desk.waiting) await desk.work();
    else if (isHeld(watch.standing)) await untilSomethingIsDue(watch);
    else if (!watch.recheck && allHandlersFinished()) return { closed: true };
    else await condition(() => watch.recheck || desk.waiting || allHandlersFinished());
  }
}

function isHeld(standing: DestinationStanding | null): standing is DestinationStanding {
  return standing !== null && (standing.paused || standing.state !== 'closed');
}

/** Until the next probe (which is made), a command, or somebody who changed the rows. */
async function untilSomethingIsDue(watch: Watch): Promise<void> {
  const { desk, input } = watch;
  const standing = watch.standing as DestinationStanding;
  if (workflowInfo().continueAsNewSuggested) await startAfresh(watch);
  const interrupted = (): boolean => desk.waiting || watch.recheck;
  if (standing.paused) return condition(interrupted);
  // Half-open without a probe under way: the one that opened it was lost.
  const waitMs = standing.state === 'half-open' ? 0 : Math.max(standing.nextProbeMs ?? 0, 0);
  if (waitMs > 0 && (await condition(interrupted, waitMs))) return;
  const { started, standing: after } = await probeDestination(input.name);
  await startSplitOff(started, input);
  // A look of its own after each probe was two fifths of what a destination that stays dead costs.
  if (!watch.recheck && patched('probes-tell-how-it-stands')) watch.told = after;
}

async function startAfresh({ input, desk }: Watch): Promise<void> {
  const carriedOver = allHandlersFinished() ? desk.carriedOver() : null;
  if (carriedOver === null) return;
  await continueAsNew<typeof destination>({
    ...input,
    signalsBefore: desk.signals,
    linesBefore: desk.lines,
    carriedOver,
  });
}

async function carryOut(
  input: DestinationWorkflowInput,
  received: readonly Received<ParsedDestinationCommand>[],
) {
  const commands = received.map((each) => ({ ...each, batchId: uuid4() }));
  const answers = await commandDestination({ name: input.name, commands });
  await startSplitOff(
    answers.flatMap(({ started }) => started),
    input,
  );
  return answers.map(({ started: _started, ...answer }) => answer);
}
