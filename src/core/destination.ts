import type { AlertsConfig } from './alerts.ts';
import type { ApiConfig } from './api.ts';
import type { ResolutionAction } from './command.ts';
import type { DashboardConfig } from './dashboard.ts';
import type { ProducerConfig } from './producer.ts';

export interface RetryPolicy {
  /** Delay after the first failed attempt. */
  readonly initialIntervalMs: number;
  readonly backoffCoefficient: number;
  readonly maximumIntervalMs: number;
  /** Charged attempts, the first one included. */
  readonly maximumAttempts: number;
  /** From the first attempt to parking, however the attempts were charged. */
  readonly scheduleToCloseTimeoutMs: number;
  /** 0..1: a delay d becomes a random one in [d × (1 − jitter), d × (1 + jitter)]. */
  readonly jitter: number;
  /** Explicit delays in place of the exponential ones; the n-th entry follows the n-th charged failure. */
  readonly scheduleMs: readonly number[] | null;
  readonly retryAfter: { readonly honor: boolean; readonly maximumMs: number };
}

export interface BatchConfig {
  /** Rows a batch holds at most. 1 gives every event a workflow of its own. */
  readonly maximum: number;
  /** Batches of one lane in their first attempt at a time. `maximum × inFlight` rows is the lane's window. */
  readonly inFlight: number;
  /** Up to so many failing deliveries of a batch get a workflow of their own. */
  readonly splitUpTo: number;
}

export interface RateLimit {
  readonly limit: number;
  readonly perMs: number;
}

/** When the destination itself is taken for sick, and how it is asked whether it is well again. */
export interface CircuitConfig {
  /** False: its circuit never opens and it is never paused by itself. */
  readonly enabled: boolean;
  /** 0..1: the share of requests in a window, unreachable or answered 5xx, that opens the circuit. */
  readonly failureRate: number;
  /** But not before the window has so many requests. */
  readonly minimumRequests: number;
  readonly windowMs: number;
  /** So many unreachable in a row, with no answer between them, open it too. */
  readonly unreachableInARow: number;
  /** From opening to the first probe; each later one waits twice as long. */
  readonly probeAfterMs: number;
  readonly maximumProbeIntervalMs: number;
}

/** Whom a destination takes a resolution from: `cli` means a database user, by the command line, the dashboard or SQL; no raw signal. */
export const resolvers = ['anyone', 'cli', 'nobody'] as const;
export type Resolver = (typeof resolvers)[number];

/** Which resolutions a destination takes, and from whom. */
export interface ResolutionRules {
  readonly retry: Resolver;
  readonly edit: Resolver;
  readonly redirect: Resolver;
  readonly discard: Resolver;
  /** Where its events may be redirected to; null for anywhere. */
  readonly redirectTo: readonly string[] | null;
  /** Absent where one person is enough. */
  readonly twoPersons?: TwoPersons;
}

/** What two persons have to say, both of them proved, before it is done. */
export interface TwoPersons {
  readonly for: readonly ResolutionAction[];
  /** Whatever acts on more letters at once; null for no number. */
  readonly lettersAbove: number | null;
  /** After the first one's word. */
  readonly withinMs: number;
}

/** How deliveries to a destination are treated, however it is reached: what every type of destination has. */
export interface DeliveryPolicy {
  /** Total deadline of one attempt: connect, send, wait for what acknowledges it. */
  readonly timeoutMs: number;
  readonly retry: RetryPolicy;
  /** `key`: deliveries of one key go one after another, in the order of their producers' commits. */
  readonly ordering: 'none' | 'key';
  /** For `ordering: 'key'`: whether a parked delivery holds its key up, or lets it pass. */
  readonly onPark: 'block' | 'skip';
  /** Deliveries under way at once, over all processes. */
  readonly concurrency: number;
  /** Attempts, retries included, over all processes; null for no limit. */
  readonly rateLimit: RateLimit | null;
  readonly batch: BatchConfig;
  readonly circuit: CircuitConfig;
  /** Absent where the file has none: anyone may do anything. */
  readonly resolutions?: ResolutionRules;
  /** What a person is to read who finds something parked: an address. */
  readonly runbook?: string;
}

/**
 * What a destination is once outbox.yaml has been read: every default filled in, every duration in milliseconds. Beside the policy
 * stand the settings of its type, which say how it is reached (`HttpDestinationConfig` for one).
 * This normalised form is what `config apply` stores in `outbox.destinations.config` and what workers read back.
 * `${X}` in addresses and `env:X` in secrets are stored as written and resolved by the process that sends.
 */
export interface DestinationConfig extends DeliveryPolicy {
  readonly name: string;
  /** The name of a destination type. */
  readonly type: string;
  /** jsonpaths of its templates, evaluated over the payload by PostgreSQL where rows are loaded; absent where there are none. */
  readonly paths?: readonly string[];
}

export interface RouteConfig {
  /** Event type pattern: `*` stands for any run of characters, dots included. */
  readonly match: string;
  /** jsonpath over the payload, evaluated by PostgreSQL; null takes every payload. */
  readonly where: string | null;
  readonly to: readonly string[];
}

/** How long what is settled stays, milliseconds; days go whole. What is unsettled or parked always stays. */
export interface RetentionConfig {
  /** Payloads. */
  readonly eventsMs: number;
  /** Which event reached which destination and when; 0 keeps no such record. */
  readonly deliveredMs: number;
  readonly attemptsMs: number;
  /** Resolved ones, from their resolution. */
  readonly deadLettersMs: number;
  readonly auditMs: number;
  readonly dedupKeysMs: number;
}

/** What producers may write under one event type. */
export interface EventTypeConfig {
  /** JSON Schema of the payload, draft 2020-12; null for any JSON. */
  readonly schema: Readonly<Record<string, unknown>> | null;
  readonly description: string | null;
  /** The database refuses what does not fit, whoever writes it. */
  readonly enforced?: boolean;
}

export interface EncryptionConfig {
  /** The id of the key that edits are encrypted with. */
  readonly current: string;
  /** By id, where its 32 bytes stand in base64: `env:NAME` or `file:/path`. */
  readonly keys: Readonly<Record<string, string>>;
}

export interface OutboxConfig {
  /** Where run, relay and worker serve /metrics, /healthz and /readyz, unless told otherwise at their start; null for nowhere. */
  readonly metrics: { readonly listen: string } | null;
  /** Prefixes workflow ids and the task queue; null for the default queue. */
  readonly name: string | null;
  readonly destinations: readonly DestinationConfig[];
  readonly routes: readonly RouteConfig[];
  readonly retention: RetentionConfig;
  /** Who may prepare half messages. */
  readonly producers: readonly ProducerConfig[];
  /** Null: no HTTP API unless a command asks for one. */
  readonly api: ApiConfig | null;
  /** Absent: no dashboard unless a command asks for one. */
  readonly dashboard?: DashboardConfig;
  /** Absent: none. */
  readonly alerts?: AlertsConfig;
  /** Keys of encrypted payloads; absent: there are none. */
  readonly encryption?: EncryptionConfig;
  /** By event type; absent: none is named. */
  readonly events?: Readonly<Record<string, EventTypeConfig>>;
}
