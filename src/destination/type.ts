/**
 * What a destination type is: one folder that says which keys it takes, what they mean, what a sample event becomes, and how
 * messages are sent. The types stand in registry.ts; docs/destination-types.md shows how to write one.
 */
import type { DestinationConfig } from '../core/destination.ts';
import type { OutgoingMessage, Sender } from '../core/outcome.ts';
import type { Environment, SecretSource } from '../core/secrets.ts';
import type { KeyPath } from '../settings/findings.ts';
import type { Mapping } from '../settings/mapping.ts';
import type { Row } from '../settings/printedRows.ts';
import type { RuleContext } from '../settings/ruleContext.ts';
import type { Keys } from '../settings/shapes.ts';
import type { PolicyDefaults } from './policy/keys.ts';
import type { Client } from './shared/clients.ts';
import type { Connections } from './shared/connections.ts';
import type { Share } from './shared/share.ts';

/**
 * `Settings` is what `normalise` answers: how a destination of this type is reached, in a form that JSON can hold. It is stored
 * beside the policy, so its keys are none of the policy's but for `retry` and `circuit`, whose parts are added to the policy's own.
 */
export interface DestinationType<Settings extends object = object> {
  /** What `type:` says in outbox.yaml: 1 to 63 of a-z, 0-9 and -, beginning with a letter. */
  readonly name: string;
  /** The keys of its own, beside those every destination has. Unknown ones are refused with the nearest known one. */
  readonly keys: Keys;
  /** Keys of its own in the sections `retry` and `circuit`. */
  readonly retryKeys?: Keys;
  readonly circuitKeys?: Keys;
  /** Where its policy differs from the common one when the file says nothing. */
  readonly defaults?: Partial<PolicyDefaults>;
  /** Packages it needs and that are installed only by those who use it; said at the start, by `doctor` and `config check`. */
  readonly clients?: readonly Client[];
  /** Those of `keys` that are templates: their placeholders are checked, and their jsonpaths evaluated by PostgreSQL. */
  readonly templates?: readonly string[];

  /**
   * What holds between keys, on the values as written: what the shape refuses is to be passed over. Problems and warnings go to
   * `context.findings`, with the path of the key. No message may show a secret.
   */
  check?(path: KeyPath, destination: Mapping, context: RuleContext): void;
  /** What the keys come to, every default filled in. Only called with what `keys` and `check` took. */
  normalise(input: Mapping): Settings;
  /** For `config explain`. Throws for no missing variable, and shows no secret. */
  explain(config: DestinationConfig & Settings, about: ExplainContext): Explanation;
  /**
   * Why messages cannot be sent from this process (a secret missing, an address malformed), in words and without secrets; null when
   * nothing is wrong. Clients are asked for by the caller.
   */
  problemOf(config: DestinationConfig & Settings, about: SecretSource): string | null;
  /**
   * A sender. Nothing is connected before the first message, and nothing is thrown: what cannot work makes every message `refused`,
   * class `bad-configuration`.
   */
  open(config: DestinationConfig & Settings, services: Services): Sender;
  /**
   * Asks the server whether what the destination names is there and of the right kind; for `doctor` and `config check --online`.
   * Creates nothing. What it throws becomes a finding.
   */
  inspect?(config: DestinationConfig & Settings, services: Services): Promise<readonly Inspection[]>;
}

/** What a sender works with. */
export interface Services extends SecretSource {
  /** What this process may send at once. */
  readonly share: Share;
  /** Of this process: one connection for each server and credentials, however many destinations use it. */
  readonly connections: Connections;
  readonly log: TypeLog;
  /** Wall clock in milliseconds. */
  readonly now: () => number;
}

export interface TypeLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface ExplainContext {
  readonly env: Environment;
  /** An event that a route of the file takes there; values of jsonpaths are the paths themselves, in angle quotes. */
  readonly sample: OutgoingMessage;
}

export interface Explanation {
  /** Added to what `config explain --json` prints of the destination. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Where it goes, in one line. */
  readonly address: string;
  /** How it is reached besides: label and text. */
  readonly rows: readonly Row[];
  /** What answers mean: when an attempt costs nothing, what parks at once, what a sample event becomes. */
  readonly answers: readonly Row[];
}

export interface Inspection {
  readonly level: 'ok' | 'warn' | 'fail';
  /** `exchange orders is there, topic, durable`. No secret. */
  readonly found: string;
  /** What to do about it; null for `ok`. */
  readonly hint: string | null;
}
