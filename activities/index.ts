import type { MessageAction } from '../src/core/command.ts';
import type { BatchSummary } from '../src/storage/attempts.ts';
import type { HousekeepingReport } from '../src/housekeeping/pass.ts';
import { resolveMessages, type MessageSummary } from '../src/storage/messages.ts';
import { latestMark } from '../src/storage/recovery.ts';
import { resolve, type ResolutionAnswer } from '../src/storage/resolutions.ts';
import { attempt, type AttemptInput } from './attempt.ts';
import type { ActivityDependencies } from './dependencies.ts';
import { carryOut, type SentCommand } from './carryOut.ts';
import { checkBack } from './checkBack.ts';
import { housekeep } from './housekeep.ts';
import {
  commandRedrives,
  driveRedrive,
  openRedrive,
  startRedrive,
  tellHolders,
  type OpenedBy,
  type OpenedRedrive,
  type RedriveCommands,
  type RedriveStart,
  type StartedRedrive,
} from './redrive.ts';
import type { Redrive } from '../src/storage/redrives.ts';
import {
  commandDestination,
  type DestinationAnswer,
  type DestinationCommands,
} from './commandDestination.ts';
import {
  carryOutOnReplay,
  previewReplay,
  replayEvents,
  type ReplayCommands,
  type ReplayToPreview,
} from './replay.ts';
import { readReplay, type ReplayStanding } from '../src/storage/replays.ts';
import { lookAtDestination, probeDestination, type ProbeReport } from './probe.ts';
import type { DestinationStanding } from '../src/storage/circuits.ts';

export type { CheckBacks, CheckBackOutcome, Reached } from './checkBack.ts';
export type { MessageSummary, OpenMessage } from '../src/storage/messages.ts';
export type {
  ActivityDependencies,
  Destinations,
  Intake,
  Leaving,
  Log,
  Reachable,
  SharedLane,
} from './dependencies.ts';
export { OutcomeLog } from './outcomeLog.ts';
export type { AttemptInput } from './attempt.ts';
export type { SentCommand } from './carryOut.ts';
export type { DestinationAnswer, DestinationCommands } from './commandDestination.ts';
export type { ProbeReport } from './probe.ts';
export type { DestinationStanding } from '../src/storage/circuits.ts';
export type { BatchSummary, HeldDelivery, SplitOff } from '../src/storage/attempts.ts';
export type { ReplayCommands, ReplayToPreview } from './replay.ts';
export type { ReplayStanding } from '../src/storage/replays.ts';
export type { HousekeepingReport } from '../src/housekeeping/pass.ts';
export type { OpenedBy, OpenedRedrive, RedriveCommands, RedriveStart, StartedRedrive } from './redrive.ts';
export type { Redrive, RedriveLetter } from '../src/storage/redrives.ts';
export type { ResolutionAnswer } from '../src/storage/resolutions.ts';

export interface SignalledMarks {
  readonly marks: readonly string[];
  /** The one that is remembered; null for none. */
  readonly present: string | null;
}

/** The activities of our workflows. */
export interface Activities {
  /** Sends what is due of the workflow's batch and answers what is left of it. */
  attempt(input: AttemptInput): Promise<BatchSummary>;
  /** Carries out resolutions one after another, an answer for each; refusals are answers, not errors. */
  resolve(commands: readonly SentCommand[]): Promise<ResolutionAnswer[]>;
  /** One pass of housekeeping; null when another one is under way. */
  housekeep(): Promise<HousekeepingReport | null>;
  /** Which of these marks is to be remembered in place of the present one; null for none. All are UUIDs. */
  latestMark(signalled: SignalledMarks): Promise<string | null>;
  /** Asks the producers of what is due of the workflow's half messages, and answers what is left of them. */
  checkBack(input: AttemptInput): Promise<MessageSummary>;
  /** As `resolve`, for half messages. */
  resolveMessages(commands: readonly SentCommand<MessageAction>[]): Promise<ResolutionAnswer[]>;
  /** Whether the namespace has our search attributes; a local one, asked just before they are named. */
  hasSearchAttributes(): Promise<boolean>;
  /** Freezes what a request means, or finds a redrive by its number. */
  openRedrive(by: OpenedBy): Promise<OpenedRedrive>;
  /** Takes the letters of a redrive for the workflow that asks. */
  startRedrive(start: RedriveStart): Promise<StartedRedrive>;
  /** Goes on with a redrive for some seconds, or until there is news; answers how it stands. */
  driveRedrive(id: number, shown?: Redrive['state']): Promise<Redrive>;
  /** Carries out commands to a redrive one after another, an answer for each. */
  commandRedrives(input: RedriveCommands): Promise<ResolutionAnswer[]>;
  /** Tells workflows that held what was let go, for some seconds; answers whether all of them know. */
  tellHolders(id: number): Promise<boolean>;
  /** How a destination stands; null when there is none of that name any more. */
  lookAtDestination(name: string): Promise<DestinationStanding | null>;
  /** Sends a few waiting events to a destination whose circuit is not closed, and more while they are answered. */
  probeDestination(name: string): Promise<ProbeReport>;
  /** Carries out commands to a destination one after another, an answer for each. */
  commandDestination(input: DestinationCommands): Promise<DestinationAnswer[]>;
  /** Freezes the events of a replay that was started by hand; answers why it is refused. */
  previewReplay(input: ReplayToPreview): Promise<ReplayStanding | string>;
  /** How a replay stands; null when there is none of that id. */
  lookAtReplay(id: string): Promise<ReplayStanding | null>;
  /** Sends of a running replay for some seconds, at its rate; null when there is none of that id. */
  replayEvents(id: string): Promise<ReplayStanding | null>;
  /** Carries out commands to a replay one after another, an answer for each. */
  commandReplay(input: ReplayCommands): Promise<ResolutionAnswer[]>;
}

export function createActivities(dependencies: ActivityDependencies): Activities {
  return {
    attempt: (input) => attempt(dependencies, input),
    resolve: (commands) => carryOut(dependencies, commands, resolve),
    housekeep: () => housekeep(dependencies),
    latestMark: ({ marks, present }) => latestMark(dependencies.pool, marks, present),
    checkBack: (input) => checkBack(dependencies, input),
    resolveMessages: (commands) => carryOut(dependencies, commands, resolveMessages),
    hasSearchAttributes: () => dependencies.hasSearchAttributes(),
    openRedrive: (by) => openRedrive(dependencies, by),
    startRedrive: (start) => startRedrive(dependencies, start),
    driveRedrive: (id, shown) => driveRedrive(dependencies, id, shown),
    commandRedrives: (input) => commandRedrives(dependencies, input),
    tellHolders: (id) => tellHolders(dependencies, id),
    lookAtDestination: (name) => lookAtDestination(dependencies, name),
    probeDestination: (name) => probeDestination(dependencies, name),
    commandDestination: (input) => commandDestination(dependencies, input),
    previewReplay: (input) => previewReplay(dependencies, input),
    lookAtReplay: async (id) => (await readReplay(dependencies.pool, id)) ?? null,
    replayEvents: (id) => replayEvents(dependencies, id),
    commandReplay: (input) => carryOutOnReplay(dependencies, input),
  };
}
