/** One delivery as it is handed to a destination. */
export interface OutgoingMessage {
  readonly eventId: string;
  readonly destination: string;
  /** 1 for the event as written; each edit adds one. */
  readonly revision: number;
  readonly type: string;
  readonly key: string | null;
  /** Its place among the deliveries of its key, a whole number that rises; null where no order is kept. */
  readonly sequence: string | null;
  readonly source: string | null;
  readonly subject: string | null;
  readonly contentType: string;
  /**
   * The body, to be sent as it is. A text: the JSON as PostgreSQL prints it, or, under a content type that is not JSON, the characters of a JSON
   * string. Bytes: those of an event that was written with `payload_bytes`.
   */
  readonly payload: string | Uint8Array;
  /** The event's own headers; they never replace those this package sets. */
  readonly headers: Readonly<Record<string, string>>;
  /** What PostgreSQL found under the destination's `paths`, by path: null where there is no text, number or boolean. Absent without paths. */
  readonly extracted?: Readonly<Record<string, string | null>>;
  /** When the event was written, ISO 8601. */
  readonly createdAt: string;
  /** 1 for the first try; counts uncharged tries too. */
  readonly attempt: number;
}

/**
 * What one attempt came to.
 * - `acknowledged`: a 2xx over HTTP, stored by a broker; nothing else acknowledges. `status` is null where the protocol has none.
 * - `refused`: the receiver or broker looked at this message and said no; charged to the event's budget.
 * - `unreachable`: it could not be asked (network, timeout, 429, 502, 503, 504, a broker that is blocked); never charged.
 * - `aborted`: we stopped before an answer (fenced, shutting down); says nothing about event or destination.
 */
export type SendOutcome =
  | { readonly kind: 'acknowledged'; readonly status: number | null; readonly durationMs: number }
  | ({ readonly kind: 'refused'; readonly permanent: boolean } & FailureDetails)
  | ({ readonly kind: 'unreachable' } & FailureDetails)
  | { readonly kind: 'aborted' };

export interface FailureDetails {
  /** Short, stable, groups alike failures: `http-500`, `timeout`, `connection-refused`, `blocked-address`, … */
  readonly errorClass: string;
  /** One line for a person; no secret, no stack, printable characters only. */
  readonly message: string;
  readonly status: number | null;
  /** What Retry-After asked for; null when absent or unusable. Not yet clamped. */
  readonly retryAfterMs: number | null;
  /** Escaped beginning of the response body; null when not kept. */
  readonly excerpt: string | null;
  readonly durationMs: number;
}

/** How a message was sent, for the history of attempts: no secret, no signature, not its body. */
export interface SentRequest {
  /** Where it went, without query and credentials: `POST https://host/path`, `amqp://host/vhost exchange orders, routing key paid`. */
  readonly address: string;
  /** Long values cut. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Sends messages to one destination. Implementations never throw: a failure is an outcome. */
export interface Sender {
  send(message: OutgoingMessage, signal: AbortSignal): Promise<SendOutcome>;
  /** How that message is sent. Only asked for attempts that go into the history. */
  describe?(message: OutgoingMessage): SentRequest;
  /** Asks the destination whether it is well, without a message; null where there is no such question. */
  readonly check: ((signal: AbortSignal) => Promise<SendOutcome>) | null;
  close(): Promise<void>;
}
