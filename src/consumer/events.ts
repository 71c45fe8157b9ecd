/** What a consumer tells whoever counts, logs or traces. */

export type ConsumerEventKind =
  /** It had its effect, and that is committed. */
  | 'processed'
  /** It had it before, or another revision had: acknowledged without a call. */
  | 'repeated'
  /** An attempt failed and is charged. */
  | 'failed'
  /** It was not possible now, and costs nothing: tried again. */
  | 'postponed'
  /** It waits for a person. */
  | 'parked'
  /** Kept in the database behind an earlier one of its key, or to be tried again from there. */
  | 'kept'
  /** Given back to the queue without an attempt, as the consumer stops. */
  | 'given-back'
  /** A discarded one was told to `onDiscard`. */
  | 'discard-told'
  /** The database is away: nothing is taken until it is back. */
  | 'paused'
  | 'resumed'
  /** Of the broker. */
  | 'connected'
  | 'disconnected';

export interface ConsumerEvent {
  readonly kind: ConsumerEventKind;
  readonly messageId: string | null;
  readonly type: string | null;
  readonly key: string | null;
  /** Of the attempt, its commit included; null where there was none. */
  readonly durationMs: number | null;
  /** Why: the failure's text, or the class of what parked it. */
  readonly reason: string | null;
}

/** So many of each kind since the consumer was made. */
export type ConsumerCounters = Readonly<Record<ConsumerEventKind, number>>;

export class Events {
  readonly counters: Record<ConsumerEventKind, number> = {
    ...{ processed: 0, repeated: 0, failed: 0, postponed: 0, parked: 0, kept: 0, 'given-back': 0 },
    ...{ 'discard-told': 0, paused: 0, resumed: 0, connected: 0, disconnected: 0 },
  };
  readonly #listener: (event: ConsumerEvent) => void;

  constructor(listener: ((event: ConsumerEvent) => void) | undefined) {
    this.#listener = listener ?? (() => undefined);
  }

  tell(kind: ConsumerEventKind, about: Partial<ConsumerEvent> = {}): void {
    this.counters[kind]++;
    try {
      this.#listener({
        messageId: null,
        type: null,
        key: null,
        durationMs: null,
        reason: null,
        ...about,
        kind,
      });
    } catch {
      // Whoever counts must not cost a message.
    }
  }
}
