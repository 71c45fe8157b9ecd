import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, getClient } from '@temporalio/activity';
import type { ParsedCommand, PacedAction } from '../src/core/command.ts';
import { checkRedrive, type CheckedRedrive } from '../src/core/redrive.ts';
import { failpoint } from '../src/failpoints.ts';
import { findDeadLetters } from '../src/storage/deadLetters.ts';
import { mayBeAboutRow } from '../src/storage/errors.ts';
import {
  advanceRedrive,
  commandRedrive,
  endedUntold,
  firstLetters,
  freezeRedrive,
  readRedrive,
  silentRedrives,
  stopRedrive,
  untoldWorkflows,
  type AdvancedRedrive,
  type Redrive,
  type RedriveLetter,
} from '../src/storage/redrives.ts';
import type { ResolutionAnswer } from '../src/storage/resolutions.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { heartbeating } from './heartbeating.ts';
import { starterHere, withSenders } from './senders.ts';
import { tryToWake } from './wake.ts';
import { workflowIdHere } from './workflowIdHere.ts';

/** A request to be frozen, or a letter whose like are meant, or the number of one that was. */
export type OpenedBy =
  | { readonly like: number; readonly requestId: string }
  | { readonly request: CheckedRedrive; readonly actor: string | null; readonly requestId: string }
  | { readonly id: number };

type Frozen = Extract<OpenedBy, { request: unknown }>;

export interface OpenedRedrive {
  readonly redrive: Redrive;
  /** The first few. */
  readonly letters: readonly RedriveLetter[];
}

const lettersShown = 5;

export interface RedriveStart {
  readonly id: number;
  readonly actor: string | null;
  readonly reason: string | null;
  readonly commandId: string;
}

export interface RedriveCommands {
  readonly id: number;
  readonly commands: readonly {
    readonly command: ParsedCommand<PacedAction>;
    readonly via: 'signal' | 'update';
  }[];
}

/** An activity goes on so long before it tells its workflow, whose page shows it. */
const roundMs = 10_000;
/** The waiting workflows that are told each look at their rows: not all at once. */
const toldPerSecond = 25;
/** Nothing heard of its workflow for so long: somebody looks whether it is there. */
const silentMs = 5 * 60_000;

/** Freezes what a request means, once for each workflow, or finds what was frozen. */
export async function openRedrive({ pool }: ActivityDependencies, by: OpenedBy): Promise<OpenedRedrive> {
  const id = 'id' in by ? by.id : await heartbeating(async () => freeze(pool, await requested(pool, by)));
  return { redrive: await found(pool, id), letters: await firstLetters(pool, id, lettersShown) };
}

/** Everything open that failed as this letter did: of its destination and cause. */
async function requested(
  pool: ActivityDependencies['pool'],
  by: Exclude<OpenedBy, { id: number }>,
): Promise<Frozen> {
  if ('request' in by) return by;
  const [letter] = await findDeadLetters(pool, [by.like]);
  if (letter === undefined) refuse(`there is no dead letter ${by.like}`);
  const { destination, cause } = letter;
  if (cause === null) refuse(`nothing is known of the cause of dead letter ${by.like}`);
  const request = checkRedrive({ destination, cause }, Date.now());
  if ('problem' in request) refuse(request.problem);
  return { request, actor: null, requestId: by.requestId };
}

/** What a person asked for may be wrong in ways that only PostgreSQL knows: no such destination, no jsonpath. */
async function freeze(
  pool: ActivityDependencies['pool'],
  { request, actor, requestId }: Frozen,
): Promise<number> {
  try {
    return await freezeRedrive(pool, request, actor, requestId);
  } catch (error) {
    if (mayBeAboutRow(error)) refuse((error as Error).message);
    throw error;
  }
}

function refuse(message: string): never {
  throw ApplicationFailure.nonRetryable(message, 'OutboxInputRefused');
}

export interface StartedRedrive extends ResolutionAnswer {
  readonly redrive: Redrive;
}

/** Takes its letters for this workflow. One that was started for it already counts as started now. */
export async function startRedrive(
  { pool, log }: ActivityDependencies,
  { id, actor, reason, commandId }: RedriveStart,
): Promise<StartedRedrive> {
  const workflowId = workflowIdHere();
  const standing = await found(pool, id);
  if (standing.startedAt !== null && standing.workflowId === workflowId)
    return {
      outcome: 'done',
      message: `redrive ${id} was started`,
      events: standing.total,
      redrive: standing,
    };
  const sender = await starterHere(log);
  const command = {
    action: 'start',
    ...(actor === null ? {} : { actor }),
    ...(reason === null ? {} : { reason }),
    ...{ commandId, workflowId, ...(sender === null ? {} : { sender }) },
  };
  const answer = await commandRedrive(pool, id, command, 'workflow');
  log.info({ redrive: id, actor, ...answer }, 'redrive started');
  return { ...answer, redrive: await found(pool, id) };
}

async function found(pool: ActivityDependencies['pool'], id: number): Promise<Redrive> {
  return (await readRedrive(pool, id)) ?? refuse(`there is no redrive ${id}`);
}

/**
 * Goes on with a redrive until a step is over, somebody has to do something, or ten seconds are; answers how it stands. What is done is
 * decided in PostgreSQL: a second execution beside this one does no harm. `shown`: as its page has it; where that is not so any more, the page
 * is told at once.
 */
export async function driveRedrive(
  { pool, leaving, onReturned }: ActivityDependencies,
  id: number,
  shown?: Redrive['state'],
): Promise<Redrive> {
  return heartbeating(async () => {
    const until = Date.now() + roundMs;
    let before: AdvancedRedrive | undefined;
    for (;;) {
      await failpoint('before-redrive');
      const standing = (await advanceRedrive(pool, id)) ?? refuse(`there is no redrive ${id}`);
      await failpoint('after-redrive');
      if (standing.acted !== before?.acted) for (const lane of standing.destinations) onReturned(lane);
      const { waitMs, ...redrive } = standing;
      if (waitMs === null || Date.now() > until || leaving.asked.aborted) return redrive;
      if (before === undefined ? shown !== undefined && shown !== standing.state : isNews(before, standing))
        return redrive;
      before = standing;
      await sleep(waitMs, undefined, { signal: leaving.asked }).catch(() => undefined);
    }
  });
}

function isNews(before: AdvancedRedrive, now: AdvancedRedrive): boolean {
  return before.state !== now.state || before.step !== now.step;
}

/** Pauses, goes on, cancels; an answer for each, in their order. */
export async function commandRedrives(
  { pool, log }: ActivityDependencies,
  { id, commands }: RedriveCommands,
): Promise<ResolutionAnswer[]> {
  return heartbeating(async () => {
    const answers: ResolutionAnswer[] = [];
    for (const { command, via } of await withSenders(commands, log)) {
      const answer = await commandRedrive(pool, id, command, via);
      log.info(
        { redrive: id, action: command.action, actor: command.actor, via, ...answer },
        'redrive command',
      );
      answers.push(answer);
    }
    return answers;
  });
}

/** Tells workflows that held what was let go, for a while; answers whether all of them know. */
export async function tellHolders({ pool, leaving }: ActivityDependencies, id: number): Promise<boolean> {
  return heartbeating(async () => {
    const until = Date.now() + roundMs;
    let told: string[] = [];
    for (;;) {
      told = await untoldWorkflows(pool, id, told, toldPerSecond);
      if (told.length === 0) return true;
      const began = Date.now();
      for (const workflowId of told) await tryToWake(workflowId);
      if (Date.now() > until || leaving.asked.aborted) {
        await untoldWorkflows(pool, id, told, 0);
        return false;
      }
      if (told.length === toldPerSecond)
        await sleep(Math.max(1_000 - (Date.now() - began), 0), undefined, { signal: leaving.asked }).catch(
          () => undefined,
        );
    }
  });
}

/** Part of housekeeping: redrives whose workflow somebody ended let their letters go, and what was not told is told. */
export async function tidyRedrives(dependencies: ActivityDependencies): Promise<void> {
  const { pool, log } = dependencies;
  for (const { id, workflowId } of await silentRedrives(pool, silentMs)) {
    const status = await statusOf(workflowId);
    if (status === null) continue;
    if (status === 'RUNNING') {
      // It may wait as a paused one does: resumed while Temporal did not answer, nobody told it.
      await tryToWake(workflowId);
      continue;
    }
    await stopRedrive(pool, id, `its workflow is gone (${status.toLowerCase()})`);
    log.warn({ redrive: id, workflowId, status }, 'redrive stopped: its workflow is gone');
  }
  for (const id of await endedUntold(pool, silentMs)) {
    for (let told: string[] = []; ;) {
      told = await untoldWorkflows(pool, id, told, toldPerSecond);
      if (told.length === 0) break;
      for (const workflowId of told) await tryToWake(workflowId);
    }
  }
}

/** `NOT_FOUND` for one that is not there, null when Temporal does not say. */
async function statusOf(workflowId: string): Promise<string | null> {
  try {
    return (await getClient().workflow.getHandle(workflowId).describe()).status.name;
  } catch (error) {
    return (error as Error).name === 'WorkflowNotFoundError' ? 'NOT_FOUND' : null;
  }
}
