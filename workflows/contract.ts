/** What clients of the workflows share with them: names, inputs and answers. Imports nothing that a client would not want. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type {
  BatchSummary,
  DestinationStanding,
  MessageSummary,
  ReplayStanding,
  Redrive,
  ResolutionAnswer,
} from '../activities/index.ts';
import {
  destinationActions,
  pacedActions,
  messageActions,
  resolutionActions,
  type DestinationAction,
  type DestinationInput,
  type MessageAction,
  type MessageInput,
  type PacedAction,
  type PacedInput,
  type ParsedCommand,
  type ParsedDestinationCommand,
  type ResolutionAction,
  type ResolutionInput,
} from '../src/core/command.ts';
import type { ReplayRequest } from '../src/core/replay.ts';
import type { RedriveRequest } from '../src/core/redrive.ts';
import { uuidPattern } from '../src/core/uuid.ts';

export interface DeliverInput {
  /** The destination (lane) whose batch this is; for people, the rows say the rest. */
  readonly lane: string;
  /** `local`: the first attempt runs inside the first workflow task, for speed. `activity`: as an ordinary activity. */
  readonly firstAttempt: 'local' | 'activity';
  /** Longest time one attempt may take at this destination, milliseconds: it bounds the first attempt's local activity. */
  readonly timeoutMs: number;
  /** Whether the namespace has our search attributes. */
  readonly searchAttributes: boolean;
  /** Signals received by earlier runs of this workflow; set by continue-as-new. */
  readonly signalsBefore?: number;
  /** The latest commands of earlier runs, for the page; set by continue-as-new. */
  readonly linesBefore?: readonly CommandLine[];
  /** Signals that an earlier run received and did not come to; set by continue-as-new. */
  readonly carriedOver?: readonly ParsedCommand[];
}

export interface DeliverState {
  readonly summary: BatchSummary | null;
  /** The latest commands and what came of each. */
  readonly commands: readonly CommandLine[];
}

export interface CommandLine<Action extends string = ResolutionAction> {
  readonly at: string;
  readonly action: Action;
  readonly actor: string | null;
  readonly outcome: ResolutionAnswer['outcome'];
  readonly message: string;
}

export interface DestinationWorkflowInput {
  readonly name: string;
  /** Longest time one attempt may take at this destination, milliseconds; for workflows that take over what a probe left. */
  readonly timeoutMs: number;
  readonly searchAttributes: boolean;
  /** As in {@link DeliverInput}; set by continue-as-new. */
  readonly signalsBefore?: number;
  readonly linesBefore?: readonly CommandLine<DestinationAction>[];
  readonly carriedOver?: readonly ParsedDestinationCommand[];
}

export interface DestinationState {
  readonly standing: DestinationStanding | null;
  readonly commands: readonly CommandLine<DestinationAction>[];
}

type ResolutionArguments = [ResolutionInput?];
type ResolutionUpdate = ReturnType<typeof defineUpdate<ResolutionAnswer, [ResolutionInput]>>;

export const signals = Object.fromEntries(
  resolutionActions.map((action) => [action, defineSignal<ResolutionArguments>(action)]),
) as Record<ResolutionAction, ReturnType<typeof defineSignal<ResolutionArguments>>>;

/** The same as the signals, with an answer. */
export const updates = Object.fromEntries(
  resolutionActions.map((action) => [action, defineUpdate<ResolutionAnswer, [ResolutionInput]>(action)]),
) as Record<ResolutionAction, ResolutionUpdate>;

export interface PreparedMessageInput {
  /** Whose messages these are; for people, the rows say the rest. */
  readonly producer: string;
  readonly searchAttributes: boolean;
  /** As in {@link DeliverInput}; set by continue-as-new. */
  readonly signalsBefore?: number;
  readonly linesBefore?: readonly CommandLine<MessageAction>[];
  readonly carriedOver?: readonly ParsedCommand<MessageAction>[];
}

export interface PreparedMessageState {
  readonly summary: MessageSummary | null;
  readonly commands: readonly CommandLine<MessageAction>[];
}

export const messageSignals = Object.fromEntries(
  messageActions.map((action) => [action, defineSignal<[MessageInput?]>(action)]),
) as Record<MessageAction, ReturnType<typeof defineSignal<[MessageInput?]>>>;

export const messageUpdates = Object.fromEntries(
  messageActions.map((action) => [action, defineUpdate<ResolutionAnswer, [MessageInput]>(action)]),
) as Record<MessageAction, ReturnType<typeof defineUpdate<ResolutionAnswer, [MessageInput]>>>;

export const messageStateQuery = defineQuery<PreparedMessageState>('state');

export const destinationSignals = Object.fromEntries(
  destinationActions.map((action) => [action, defineSignal<[DestinationInput?]>(action)]),
) as Record<DestinationAction, ReturnType<typeof defineSignal<[DestinationInput?]>>>;

export const destinationUpdates = Object.fromEntries(
  destinationActions.map((action) => [action, defineUpdate<ResolutionAnswer, [DestinationInput]>(action)]),
) as Record<DestinationAction, ReturnType<typeof defineUpdate<ResolutionAnswer, [DestinationInput]>>>;

/**
 * A redrive: a request (see `RedriveRequest`) makes a preview, and with `start` goes on at once; `redrive` names one that was previewed, and
 * starts it.
 */
export type RedriveInput = (
  (RedriveRequest & { readonly start?: boolean }) | { readonly redrive: number; readonly reason?: string }
) & {
  /** Who asks; a claim. */
  readonly actor?: string;
  /** As in {@link DeliverInput}; set by continue-as-new. */
  readonly signalsBefore?: number;
  readonly linesBefore?: readonly CommandLine<PacedAction>[];
  readonly carriedOver?: readonly ParsedCommand<PacedAction>[];
};

/** How a redrive's workflow ends, and what its query `state` answers. */
export interface RedriveOutcome extends Pick<
  Redrive,
  'id' | 'state' | 'why' | 'total' | 'done' | 'failed' | 'retrying' | 'skipped' | 'leftOut'
> {
  /** A preview's: the page of the Temporal UI that starts it. */
  readonly start?: string;
  /** Why it was not started. */
  readonly refused?: string;
}

export interface RedriveWorkflowState {
  readonly redrive: Redrive | null;
  readonly commands: readonly CommandLine<PacedAction>[];
}

/** Of replays and redrives. */
export const pacedSignals = Object.fromEntries(
  pacedActions.map((action) => [action, defineSignal<[PacedInput?]>(action)]),
) as Record<PacedAction, ReturnType<typeof defineSignal<[PacedInput?]>>>;

export const pacedUpdates = Object.fromEntries(
  pacedActions.map((action) => [action, defineUpdate<ResolutionAnswer, [PacedInput]>(action)]),
) as Record<PacedAction, ReturnType<typeof defineUpdate<ResolutionAnswer, [PacedInput]>>>;

export const redriveStateQuery = defineQuery<RedriveWorkflowState>('state');

export const destinationStateQuery = defineQuery<DestinationState>('state');

/** Either the id of a replay that was previewed, or what to preview: that one waits for `resume`. */
export interface ReplayWorkflowInput extends ReplayRequest {
  readonly id?: string;
  /** As in {@link DeliverInput}; set by continue-as-new. */
  readonly signalsBefore?: number;
  readonly linesBefore?: readonly CommandLine<PacedAction>[];
  readonly carriedOver?: readonly ParsedCommand<PacedAction>[];
}

export interface ReplayWorkflowState {
  readonly standing: ReplayStanding | null;
  readonly commands: readonly CommandLine<PacedAction>[];
}

export const replayStateQuery = defineQuery<ReplayWorkflowState>('state');

/** Internal: look at the rows again, something outside changed them. */
export const recheckSignal = defineSignal('recheck');

/** Internal, to `housekeeping`: the latest mark of its database. */
export const markSignal = defineSignal<[mark: string]>('mark');

/** A mark is a UUID; whatever else somebody sends is none. */
export function isMark(value: unknown): value is string {
  return typeof value === 'string' && uuidPattern.test(value);
}

export const stateQuery = defineQuery<DeliverState>('state');
