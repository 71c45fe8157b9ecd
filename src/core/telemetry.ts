/** What relay and worker tell whoever counts. Called on the hot path: implementations add up, and do nothing else. */
export interface Telemetry {
  /** A request is about to be made. */
  sending(): void;
  /** It came to this. `durationMs` is null where there was none to speak of. */
  sent(destination: string, outcome: SendResult, durationMs: number | null): void;
  /** Rows were written as this, once a flush. */
  settled(destination: string, as: SettledAs, deliveries: number): void;
  /** A write of outcomes took so long. */
  flushed(durationMs: number): void;
  /** The relay asked for work, and was answered after so long. */
  polled(durationMs: number): void;
  /** So many rows were claimed at once, for a new batch or into an open one. */
  claimed(rows: number): void;
  /** Temporal took, or did not take, the start of a workflow. */
  started(outcome: 'started' | 'failed', durationMs: number): void;
  resolved(action: string, outcome: string): void;
}

/** What the HTTP API tells whoever counts. */
export interface ApiTelemetry {
  /** `route` as it was registered, `/v1/messages/:id`; undefined where there is none at the address. */
  answered(method: string, route: string | undefined, status: number, durationMs: number): void;
}

export type SendResult = 'acknowledged' | 'refused' | 'unreachable' | 'aborted';
export type SettledAs = 'delivered' | 'retried' | 'parked';

/** For processes that nobody asks. */
export const noTelemetry: Telemetry = {
  sending: () => undefined,
  sent: () => undefined,
  settled: () => undefined,
  flushed: () => undefined,
  polled: () => undefined,
  claimed: () => undefined,
  started: () => undefined,
  resolved: () => undefined,
};
