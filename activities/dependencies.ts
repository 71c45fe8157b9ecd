import type { Acknowledged } from './acknowledged.ts';
import type { Pace } from '../src/core/askedToWait.ts';
import type { DestinationConfig } from '../src/core/destination.ts';
import type { KeyProvider } from '../src/encryption/keys.ts';
import type { Sender } from '../src/core/outcome.ts';
import type { Telemetry } from '../src/core/telemetry.ts';
import type { Evidence } from './evidence.ts';
import type { OutcomeLog } from './outcomeLog.ts';
import type { UnderWay } from './underWay.ts';
import type { Unwritten } from './unwritten.ts';
import type { CheckBacks } from './checkBack.ts';
import type { DeliveryRow, OpenedBatch, OpenedRows, SplitOff } from '../src/storage/attempts.ts';
import type { Pool } from '../src/storage/connect.ts';

/** A destination as this process reaches it. */
export interface Reachable {
  readonly config: DestinationConfig;
  readonly sender: Sender;
  /** Of this process. */
  readonly pace: Pace;
  /** Why this process cannot send to it, and another has to; null when it can. */
  readonly problem: string | null;
}

/** The destinations of one configuration revision. */
export interface Destinations {
  /** Those of the given revision or a later one; undefined for a name that was removed. */
  find(name: string, configRevision: number): Promise<Reachable | undefined>;
}

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** Whether lines of that level go anywhere. Without it, lines for single deliveries (debug) are not made at all. */
  enabled?(level: 'debug' | 'info' | 'warn' | 'error'): boolean;
}

/** What an open batch takes in while its first attempt runs. */
export interface Intake {
  /** Rows that came; none when nothing more will come. `isBusy`: whether the attempt waits for answers anyway. */
  next(isBusy: () => boolean): Promise<readonly DeliveryRow[]>;
  /** Whether rows wait here that nobody has taken. */
  readonly holds: boolean;
  /** No more is claimed for it; what is on its way still comes. */
  close(): void;
  /** Nobody will ask for rows any more. */
  leave(): void;
}

/** What an attempt of a batch that mixes destinations tells of them, for whoever claims. */
export interface SharedLane {
  /** Its answers take long. */
  slow(destination: string): void;
  /** A failure of it is being judged, until it is settled: nothing more is to be claimed for it meanwhile. */
  settling(destination: string): void;
  settled(destination: string): void;
}

/** How this process leaves. */
export interface Leaving {
  /** No new request is begun after this. */
  readonly asked: AbortSignal;
  /** Requests still under way are given up: whoever takes the batch over sends them again. */
  readonly over: AbortSignal;
}

/** What the activities work with; the worker closes over it once. */
export interface ActivityDependencies {
  readonly pool: Pool;
  readonly destinations: Destinations;
  readonly checkBacks: CheckBacks;
  readonly log: Log;
  /** Of this process, for the circuits' counts. */
  readonly acknowledged: Acknowledged;
  /** Whether outbox.delivered remembers what was acknowledged. */
  readonly keepDelivered: boolean;
  /** 0..1, for jitter. */
  readonly random: () => number;
  /** Whether the namespace has our search attributes, as of some seconds ago. */
  readonly hasSearchAttributes: () => Promise<boolean>;
  /** A batch that the relay of this very process opened for its first attempt; each is given once. */
  readonly takeOpened: (workflowId: string) => OpenedRows | undefined;
  /** Opens a batch's door, to take in rows that arrive for its lane. */
  readonly openIntake: (batch: OpenedBatch) => Intake;
  readonly shared: SharedLane;
  /** Starts the workflows of deliveries that left a batch which mixes destinations, in the background. */
  readonly startApart: (left: readonly SplitOff[]) => void;
  readonly leaving: Leaving;
  /** Of this process: a batch that it opens again did not kill it. */
  readonly processId: string;
  readonly underWay: UnderWay;
  readonly unwritten: Unwritten;
  /** Of this process: which outcomes PostgreSQL takes while it refuses others. */
  readonly evidence: Evidence;
  /** Told when rows of a lane went back to it. */
  readonly onReturned: (lane: string) => void;
  /** Told when rows of a lane left their first attempt, so that a relay in this process need not wait for its next poll. */
  readonly onProgress: (lane: string) => void;
  readonly telemetry: Telemetry;
  /** Of encrypted payloads. */
  readonly keys: KeyProvider;
  /** Where outcomes of single deliveries are told. */
  readonly outcomes: OutcomeLog;
}
