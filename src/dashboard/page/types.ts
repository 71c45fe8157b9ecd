/** What the server answers, by the types that it is made from. */
import type { Cause } from '../../storage/causes.ts';
import type { AuditLine, FirstWord } from '../../storage/audit.ts';
import type { DeadLetter, DeadLetterEvent, RecordedAttempt } from '../../storage/deadLetters.ts';
import type {
  DeliveryStanding,
  EventAuditLine,
  StoredEvent,
  StoredRevision,
} from '../../storage/eventStory.ts';
import type { ListedEvent } from '../../storage/events.ts';
import type { MessageContent } from '../../storage/messages.ts';
import type { MessageState } from '../../core/messageState.ts';
import type { Overview, OverviewDestination } from '../views/overview.ts';
import type { Redrive as StandingRedrive, RedriveMember, RedriveSample } from '../../storage/redrives.ts';
import type { StoredToken } from '../../storage/tokens.ts';
import type { WaitingDelivery } from '../../storage/waiting.ts';
import type { Need, Who } from '../who.ts';

export type {
  AuditLine,
  Cause,
  DeadLetter,
  EventAuditLine,
  ListedEvent,
  MessageState,
  Overview,
  RecordedAttempt,
  RedriveMember,
  StandingRedrive,
  StoredToken,
};

export interface Me extends Who {
  readonly whyNot: Readonly<Record<Need, string | null>>;
  readonly instance: {
    readonly name: string | null;
    readonly title: string;
    readonly production: boolean;
    readonly version: string;
  };
}

type WithoutPayload<Event> = Omit<Event, 'payloadText' | 'payloadBase64'> & {
  readonly payloadKind: 'json' | 'bytes';
  readonly payloadSize: number;
};

export interface Page<Item, Next> {
  readonly items: readonly Item[];
  readonly next: Next | null;
}

export interface Letter extends DeadLetter {
  readonly version: string;
  readonly workflowUrl: string | null;
  readonly delivery: string | null;
  readonly workflowPaused: string | null;
  readonly queue: {
    readonly key: string;
    readonly waiting: number;
    readonly first: readonly WaitingDelivery[];
  } | null;
  readonly event: WithoutPayload<DeadLetterEvent> | null;
  readonly attemptHistory: readonly RecordedAttempt[];
  readonly otherEpisodes: readonly DeadLetter[];
  readonly audit: readonly AuditLine[];
}

export interface ShownPayload {
  /** Absent: it is not encrypted. `problem`: why the envelope is shown. */
  readonly encrypted?: { readonly kid: string | null; readonly problem: string | null };
  readonly payloadText: string | null;
  readonly payloadBase64: string | null;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly version?: string;
}

export interface Destination extends OverviewDestination {
  readonly workflowId: string;
  readonly workflowUrl: string | null;
  readonly policy: {
    readonly type: string;
    readonly timeoutMs: number;
    readonly concurrency: number;
    readonly rateLimit: { readonly limit: number; readonly perMs: number } | null;
    readonly ordering: 'none' | 'key';
    readonly onPark: 'block' | 'skip' | null;
    readonly attempts: readonly { readonly attempt: number; readonly sinceFirstMs: number }[];
    readonly jitter: number;
  } | null;
}

export interface EventStory {
  readonly id: string;
  readonly event: WithoutPayload<StoredEvent> | null;
  readonly unrouted: boolean;
  readonly deliveries: readonly (DeliveryStanding & { readonly workflowUrl: string | null })[];
  readonly attempts: readonly {
    readonly destination: string;
    readonly attempts: readonly RecordedAttempt[];
  }[];
  readonly letters: readonly DeadLetter[];
  readonly revisions: readonly WithoutPayload<StoredRevision>[];
  readonly audit: readonly EventAuditLine[];
}

export interface HalfMessage extends MessageState {
  readonly workflowUrl: string | null;
  readonly content: WithoutPayload<MessageContent> | null;
  readonly audit: readonly AuditLine[];
}

export type SampledLetter = Omit<RedriveSample, 'before' | 'after'> & { readonly isEdited: boolean };

export interface Redrive extends StandingRedrive {
  readonly workflowId: string;
  readonly workflowUrl: string | null;
  readonly skippedWhy: readonly { readonly why: string; readonly letters: number }[];
  readonly sample: readonly SampledLetter[];
  readonly audit: readonly AuditLine[];
  readonly waitingForSecond: readonly FirstWord[];
}

export type ShownTexts = Pick<RedriveSample, 'letterId' | 'before' | 'after' | 'problem'>;
