/** What the conformance suite asks of whoever wrote a destination type: its server, and an independent look at what arrived. */
import type { OutgoingMessage } from '../../core/outcome.ts';
import type { DestinationType } from '../../destination/type.ts';
import type { RowName } from './rowNames.ts';

export interface Harness {
  readonly type: DestinationType;
  /** What the suite is called in the output; default the type's name. For a type of several kinds: `sqs, FIFO queues`. */
  readonly name?: string;
  /**
   * Starts the server and whatever reads it back; called once, when the first row needs it. `proxy` is the `host:port` of the wire that
   * the suite puts in front of it: of use to servers that tell clients where to connect (`advertised.listeners`), and to nobody else.
   */
  readonly start: (proxy: string) => Promise<HarnessServer>;
  /**
   * Rows that the type or its server cannot show, each with the reason, which stands in the output as a test's name. A row that needs
   * something the harness does not offer and is not named here fails.
   */
  readonly cannot?: Readonly<Partial<Record<RowName, string>>>;
  /**
   * Connections that one process holds to one server at most, whatever the number of topics. Default 1; 2 for a client that keeps one
   * for finding its servers.
   */
  readonly connections?: number;
  /** Milliseconds for a message to be seen by `read` once it was acknowledged, and for a server to be itself again. Default 30,000. */
  readonly patienceMs?: number;
}

export interface HarnessServer {
  /** `host:port` where clients reach it; null for a type without connections, whose rows about the wire are then in `cannot`. */
  readonly address: string | null;
  /** Where the suite's wire leads to, if not to `address`: the listener that tells clients to come to the wire. */
  readonly behindProxy?: string;
  /** Ends the server, removes its data, and leaves no process. */
  readonly stop: () => Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  readonly kill?: () => Promise<void>;
  /** After `kill`: again, at the same address with the same data; resolves when it takes messages. */
  readonly restart?: () => Promise<void>;
  /** A new topic (queue, stream, folder, …) that keeps what it gets. */
  readonly topic: () => Promise<Topic>;
  /**
   * So many topics of one server and login, for the row about connections; only their settings are asked for. Default: `topic` that
   * many times.
   */
  readonly topics?: (count: number) => Promise<readonly Place[]>;
  /** Makes the server say that it takes nothing at the moment (memory, disk, flow control); the answer ends that. */
  readonly block?: () => Promise<() => Promise<void>>;
  /** Makes it unreachable, where there is no wire to cut; the answer ends that. Default: the wire refuses connections. */
  readonly outage?: () => Promise<() => Promise<void>>;
  /** A message that a rule of the server or the protocol refuses. */
  readonly refused?: () => Promise<Case>;
  /** The target is there, and nobody would get the message. */
  readonly unroutable?: () => Promise<Case>;
  /** A message above a limit. */
  readonly tooLarge?: () => Promise<Case>;
  /** A login that the server refuses. */
  readonly wrongCredentials?: () => Promise<Case & { readonly secret: string }>;
  /** A topic, exchange, stream, folder that is not there, and is not to be made. */
  readonly missingTopic?: () => Promise<Case & { readonly isThere: () => Promise<boolean> }>;
  /** One that is there and of another kind. */
  readonly wrongTopic?: () => Promise<Case>;
  /** A topic whose server drops repeats within a window: a repeat comes after `waitMs`, which is beyond it. */
  readonly window?: () => Promise<{ readonly topic: Topic; readonly waitMs: number }>;
  /** The server over TLS: settings that trust it, and settings that do not. */
  readonly tls?: () => Promise<Trust>;
  /** The server over TLS that asks for our certificate: settings with the right one, and settings with none or another's. */
  readonly mutualTls?: () => Promise<Trust>;
}

/** Keys of outbox.yaml beside `type` and the policy's, as the type's `keys` take them. `address` is the server's or that of the wire. */
export type Settings = (address: string) => Readonly<Record<string, unknown>>;

export interface Place {
  readonly settings: Settings;
  /** Answers `env:NAME` and `${NAME}` in the settings, beside `process.env`. */
  readonly env?: ((address: string) => Readonly<Record<string, string>>) | undefined;
}

export interface Topic extends Place {
  /**
   * All that arrived since the topic was made, in the server's order, as a client sees it that has nothing to do with this package. Asked
   * for many times; where reading takes messages away, keep them.
   */
  readonly read: () => Promise<readonly Received[]>;
}

export interface Received {
  /** The id consumers recognise repeats by, from where the type puts it: `webhook-id`, the protocol's own message id. */
  readonly id: string;
  readonly body: string | Uint8Array;
  /** What order and partitions go by; null where the protocol has no place for it. */
  readonly key: string | null;
  /** Names as the protocol has them. Those it cannot carry are not here. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Settings, and perhaps a message, for an answer that the suite expects. */
export interface Case extends Place {
  /** What about the message brings the answer about. */
  readonly message?: Partial<OutgoingMessage>;
  /** The class that the outcome must have, where it is not the one shared by all types (`docs/destination-types.md`). */
  readonly errorClass?: string;
  /** What its message must say besides. */
  readonly says?: RegExp;
  /** Where the type's `inspect` cannot tell without sending a message. */
  readonly inspected?: false;
  /** Where it can be read back: the message of the case is then sent between others, which arrive, and it does not. */
  readonly read?: Topic['read'];
}

export interface Trust {
  readonly topic: Topic;
  /** Without the right authority or certificate. */
  readonly stranger: Place & { readonly errorClass?: string };
  /** The address to give to the settings: the listener that speaks TLS. */
  readonly address: string;
}
