/**
 * `prepared`: waits for the producer's word, or for a check-back. `parked`: no check-back told, a person decides. The other two
 * are final.
 */
export type MessageStateName = 'prepared' | 'parked' | 'committed' | 'rolled-back';

/** How a half message stands; never its content. Times are ISO 8601 in UTC. */
export interface MessageState {
  readonly id: string;
  readonly producer: string;
  readonly type: string;
  readonly state: MessageStateName;
  /** The event it became: the same id, or a new one where the message was older than a day by then. */
  readonly eventId: string | null;
  /** Check-backs that told nothing. */
  readonly checks: number;
  /** What the latest of them came to. */
  readonly lastAnswer: string | null;
  readonly preparedAt: string;
  readonly nextCheckAt: string | null;
  readonly parkedAt: string | null;
  readonly settledAt: string | null;
  /** `producer`, `check-back`, or who resolved it. */
  readonly settledBy: string | null;
  /** The workflow that asks back or waits for a person. */
  readonly workflowId: string | null;
}
