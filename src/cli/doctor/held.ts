/** What does not go on by itself, or has not for long: destinations and half messages. */
import type { Queryable } from '../../storage/connect.ts';
import { countMessages } from '../../storage/messages.ts';
import { readLaneStandings } from '../../storage/standing.ts';
import { readPausedWorkflows } from '../../storage/paused.ts';
import { describeAge } from '../spokenTime.ts';
import { isNobodys, readLacking } from '../../storage/lacking.ts';
import { lackingInWords } from '../lackingText.ts';
import { readUnwritten } from '../../storage/status.ts';
import { printable } from '../../core/printable.ts';
import { fail, firstThree, ok, warn, type Finding } from './finding.ts';

const outageLongMs = 60_000;

export async function checkDestinations(db: Queryable): Promise<Finding> {
  const check = 'destinations';
  const lanes = await readLaneStandings(db);
  const held = lanes.filter(
    ({ heldBy, heldSeconds }) =>
      heldBy === 'refusals' || (heldBy === 'circuit' && heldSeconds * 1000 > outageLongMs),
  );
  if (held.length === 0) return ok(check, 'none is held by its circuit or by refusals');
  const named = held.map(
    ({ destination, heldBy, heldSeconds }) =>
      `${destination} ${heldBy === 'refusals' ? 'was paused by refusals' : 'is not answering'} for ${describeAge(heldSeconds * 1000)}`,
  );
  return warn(
    check,
    firstThree(named),
    'temporal-outbox destinations list says why. A circuit closes by itself when the destination answers; a pause ends by destinations resume.',
  );
}

const pausedShown = 3;

export async function checkPaused(db: Queryable): Promise<Finding> {
  const check = 'paused workflows';
  const paused = await readPausedWorkflows(db, pausedShown + 1);
  if (paused.length === 0) return ok(check, 'nobody paused one in the Temporal UI');
  const named = paused
    .slice(0, pausedShown)
    .map(({ workflowId, held, note }) => `${workflowId} (holds ${held}) is ${printable(note)}`);
  return warn(
    check,
    [...named, ...(paused.length > pausedShown ? ['and more'] : [])].join('; '),
    'What it holds waits, commands too, until it is unpaused there: the workflow’s page, or temporal workflow unpause --workflow-id ID; ' +
      'a paused activity: temporal activity unpause --workflow-id ID.',
  );
}

const checkBackLateMs = 60_000;

export async function checkHalfMessages(db: Queryable): Promise<Finding> {
  const check = 'half messages';
  const producers = await countMessages(db);
  const late = producers.filter(({ checkLateMs }) => checkLateMs > checkBackLateMs);
  const parked = producers.filter((producer) => producer.parked > 0);
  if (late.length + parked.length === 0) return ok(check, 'none is parked, no check-back is late');
  const found = [
    ...late.map(
      ({ producer, checkLateMs }) =>
        `${producer} should have been asked back ${describeAge(checkLateMs)} ago and was not`,
    ),
    ...parked.map((producer) => `${producer.parked} of ${producer.producer} wait for a person`),
  ];
  const hints = [
    ...(late.length > 0
      ? ['Is a worker running that has the handler of its check-back? See workers below.']
      : []),
    ...(parked.length > 0 ? ['temporal-outbox messages list --status parked'] : []),
  ];
  return warn(check, firstThree(found), hints.join(' '));
}

/** A secret, a variable or a client that workers have not got: what waits for it where nobody has it, and who says so. */
export async function checkLacking(db: Queryable): Promise<Finding> {
  const check = 'senders';
  const lacking = await readLacking(db);
  if (lacking.length === 0) return ok(check, 'no worker lacks what it takes to send or to ask back');
  const say = lacking.some(isNobodys) ? fail : warn;
  return say(check, firstThree(lacking.map(lackingInWords)), lackingHint);
}

const lackingHint =
  'Set it for every process that sends (run, worker), and restart them; or correct the configuration and apply it. ' +
  'Nothing is parked or charged meanwhile.';

/** What was answered and PostgreSQL does not take: kept in the workers' memory, and lost with them. */
export async function checkUnwritten(db: Queryable): Promise<Finding> {
  const check = 'outcomes';
  const waiting = await readUnwritten(db);
  if (waiting.length === 0) return ok(check, 'none waits to be written');
  const named = waiting.map(
    ({ worker, outcomes, waitedMs, says }) =>
      `${outcomes} wait in ${printable(worker)} for ${describeAge(waitedMs)}: ${printable(says)}`,
  );
  return fail(
    check,
    firstThree(named),
    "They are tried again until PostgreSQL takes them; a worker that is stopped before sends them again. The message is PostgreSQL's own.",
  );
}
