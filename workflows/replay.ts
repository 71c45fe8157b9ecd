import {
  allHandlersFinished,
  ApplicationFailure,
  condition,
  continueAsNew,
  proxyActivities,
  setHandler,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities, ReplayStanding } from '../activities/index.ts';
import { parseCommand, type ParsedCommand, type PacedAction } from '../src/core/command.ts';
import { planReplay } from '../src/core/replay.ts';
import { CommandDesk } from './commandDesk.ts';
import { replayStateQuery, type ReplayWorkflowInput } from './contract.ts';
import { pacedStart, type PacedStart } from './pacedInput.ts';
import { showReplay } from './replayPage.ts';
import { uuidPattern } from '../src/core/uuid.ts';

type Desk = CommandDesk<PacedAction, ParsedCommand<PacedAction>>;

const descriptions: Record<PacedAction, string> = {
  pause: 'Send no more until it is resumed. Input: empty, or {"reason": "…"}',
  resume: 'Begin, or go on. Input: empty, or {"reason": "…"}',
  cancel: 'End it; what was sent stays sent. Input: empty, or {"reason": "…"}',
};

const retry = { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '20s' } as const;
const { lookAtReplay, commandReplay } = proxyActivities<Activities>({
  startToCloseTimeout: '30s',
  retry,
});
const { replayEvents, previewReplay } = proxyActivities<Activities>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '6s',
  retry,
});

/**
 * Sends events of before once more: those that no route took, or, with `to`, to a destination that did not get them. Started by
 * `temporal-outbox routes replay`, or by hand with what to send, `{ "type": "order.*", "since": "2d" }`: then it shows a preview
 * and waits for `resume`. Its events and how far it is stand in PostgreSQL.
 */
export async function replay(input: ReplayWorkflowInput): Promise<ReplayStanding> {
  const start = startOf(input);
  let id = '';
  let standing: ReplayStanding | null = null;
  const desk: Desk = new CommandDesk(
    {
      descriptions,
      parse: (action, given) => parseCommand(action, given),
      carryOut: (commands) => commandReplay({ id, commands }),
    },
    input,
  );
  // Before anything is waited for: an update that starts the workflow needs its handler in the first task.
  desk.open();
  setHandler(replayStateQuery, () => ({ standing, commands: desk.lines }), {
    description: 'How far the replay is, and the commands so far',
  });
  id = await idOf(start);
  const look = async (): Promise<ReplayStanding> => (await lookAtReplay(id)) ?? gone(id);
  const show = (now: ReplayStanding): void => showReplay((standing = now), desk.lines);
  let latest = await look();
  for (;;) {
    show(latest);
    if (workflowInfo().continueAsNewSuggested) await startAfresh(id, desk);
    if (latest.endedAt !== null) break;
    if (latest.state === 'running') {
      const { result } = await desk.serveDuring(replayEvents(id), async () => show(await look()));
      latest = result ?? gone(id);
    } else {
      await condition(() => desk.waiting);
      await desk.work();
      latest = await look();
    }
  }
  await desk.answerEverybody();
  show(latest);
  return latest;
}

async function startAfresh(id: string, desk: Desk): Promise<void> {
  const carriedOver = allHandlersFinished() ? desk.carriedOver() : null;
  if (carriedOver === null) return;
  await continueAsNew<typeof replay>({
    id,
    signalsBefore: desk.signals,
    linesBefore: desk.lines,
    carriedOver,
  });
}

function startOf(input: unknown): PacedStart<string> {
  const start = pacedStart<string>(input, {
    name: 'id',
    expected: 'that of a replay, a UUID',
    check: (value) => typeof value === 'string' && uuidPattern.test(value),
    example: '{"type": "order.*", "since": "2d"}',
  });
  if (typeof start === 'string') throw refused(start);
  return start;
}

async function idOf(start: PacedStart<string>): Promise<string> {
  if ('frozen' in start) return start.frozen;
  const plan = planReplay(start.request, Date.now());
  if (typeof plan === 'string') throw refused(plan);
  const previewed = await previewReplay({ id: uuid4(), plan });
  if (typeof previewed === 'string') throw refused(previewed);
  return previewed.id;
}

function refused(why: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(`replay: ${why}`, 'OutboxInputRefused');
}

function gone(id: string): never {
  throw refused(`there is no replay ${id}`);
}
