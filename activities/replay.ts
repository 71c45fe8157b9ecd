import { setTimeout as sleep } from 'node:timers/promises';
import { cancellationSignal } from '@temporalio/activity';
import type { PacedAction } from '../src/core/command.ts';
import type { ReplayPlan } from '../src/core/replay.ts';
import { commandReplay, freezeReplay, releaseReplay, type ReplayStanding } from '../src/storage/replays.ts';
import type { ResolutionAnswer } from '../src/storage/resolutions.ts';
import { carryOut, type SentCommand } from './carryOut.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { heartbeating } from './heartbeating.ts';
import { workflowIdHere } from './workflowIdHere.ts';

export interface ReplayToPreview {
  readonly id: string;
  readonly plan: ReplayPlan;
}

export interface ReplayCommands {
  readonly id: string;
  readonly commands: readonly SentCommand<PacedAction>[];
}

export async function previewReplay(
  { pool }: ActivityDependencies,
  { id, plan }: ReplayToPreview,
): Promise<ReplayStanding | string> {
  return heartbeating(() => freezeReplay(pool, id, workflowIdHere(), plan, null));
}

/** The page shows how far it is after each such time. */
const sliceMs = 10_000;
/** Events in one transaction: their keys' producers wait for it. */
const portion = 500;

/** Portion after portion, until the slice is over or somebody stopped the replay. */
export async function replayEvents(
  { pool, leaving }: ActivityDependencies,
  id: string,
): Promise<ReplayStanding | null> {
  const until = performance.now() + sliceMs;
  const ended = AbortSignal.any([cancellationSignal(), leaving.asked]);
  return heartbeating(async () => {
    for (;;) {
      const standing = await releaseReplay(pool, id, portion);
      if (standing === undefined) return null;
      if (standing.state !== 'running' || performance.now() > until || ended.aborted) return standing;
      await sleep(standing.waitMs, undefined, { signal: ended }).catch(() => undefined);
    }
  });
}

export async function carryOutOnReplay(
  dependencies: ActivityDependencies,
  { id, commands }: ReplayCommands,
): Promise<ResolutionAnswer[]> {
  return carryOut(dependencies, commands, (db, workflowId, command, via) =>
    commandReplay(db, id, workflowId, command, via),
  );
}
