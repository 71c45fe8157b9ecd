/** What `alerts:` may look at. Kinds can be switched off by name. */
export const alertKinds = [
  'parked',
  'circuit-open',
  'circuit-flapping',
  'refused',
  'lag',
  'half-messages',
  'stopped',
  'housekeeping',
  'unwritten',
] as const;
export type AlertKind = (typeof alertKinds)[number];

/** The section `alerts`, normalised; PostgreSQL reads it from the configuration (outbox.look_for_alerts). */
export interface AlertsConfig {
  /** Destinations that get all of it, as one event for each look that has news. */
  readonly to: readonly string[];
  /** Destinations that take what a Slack webhook takes: one text. */
  readonly slack: readonly string[];
  readonly everyMs: number;
  /** While it lasts it is said again. */
  readonly repeatMs: number;
  /** More dead letters than that at one destination. */
  readonly parked: number;
  readonly circuitOpenMs: number;
  /** Times a circuit opened within an hour. */
  readonly circuitFlaps: number;
  readonly lagMs: number;
  readonly housekeepingMs: number;
  readonly unwrittenMs: number;
  readonly off: readonly AlertKind[];
  /** `{kind}` and `{destination}` in it are filled in. */
  readonly link: string | null;
}
