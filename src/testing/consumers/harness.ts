import type { From } from '../../consumer/index.ts';

/** How a broker is put before the suite of consumers. */
export interface ConsumerHarness {
  /** `rabbitmq`. */
  readonly name: string;
  /** A real server. Called once; the suite stops it. */
  start(): Promise<ConsumerServer>;
  /** Rows that it cannot show, each with the reason. */
  readonly cannot?: Readonly<Partial<Record<ConsumerRowName, string>>>;
}

export interface ConsumerServer {
  /** A queue of its own for each row. */
  queue(shape: { readonly ordered: boolean }): Promise<TestQueue>;
  /** SIGKILL to the server, and the same again with its data. */
  readonly kill?: () => Promise<void>;
  readonly restart?: () => Promise<void>;
  stop(): Promise<void>;
}

export interface TestQueue {
  /** What `createConsumer` is given, JSON. */
  readonly from: From;
  /** Puts them into the queue, in this order; resolves when they are stored. */
  put(messages: readonly PutMessage[]): Promise<void>;
  /** How many are not acknowledged, whoever has them. */
  left(): Promise<number>;
}

export interface PutMessage {
  /** Header names in lower case: `webhook-id` and `outbox-key` among them where the message has them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly key: string | null;
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** The rows of the suite, in the order in which they run, each a sentence of fact. */
export const consumerRows = {
  once: 'each message has its effect once, repeats of it none, its bytes are as they were, and the queue is empty after that',
  retries: 'what fails is tried again as its policy says, and holds up no other',
  parked:
    'what exhausts its policy is parked with cause and payload and acknowledged, and has its effect once when a person retries it',
  discarded:
    'what a person discards has no effect, also when it comes again, and the consumer is told of it once',
  'no-id': 'what nothing tells from others is parked, not lost; a function of the user gives it an id',
  edited: 'an edited event is told from the one that it replaces',
  killed: 'a consumer killed with -9 again and again: each effect once, and nothing is left unacknowledged',
  poison:
    'a message that kills its process twice is parked by the third start, and none of its neighbours with it',
  order:
    'those of one key go in order through failures and parking, and one that is parked holds up its key only',
  'killed-in-order': 'those of one key go in order while consumers are killed',
  'ended-in-order': 'those of one key go in order while consumers are ended and others take over',
  'cut-in-order':
    'those of one key go in order, each once, while the connections to the consumer’s database are cut again and again',
  stopping: 'a consumer that stops finishes what is at work and gives the rest back',
  sharing: 'consumers that come and go share the messages, and each has its effect once',
  long: 'a handler that takes longer than the broker waits is not called a second time',
  'database-away':
    'with the database away nothing is taken and nothing is charged, and it goes on when it is back',
  'broker-killed': 'a broker killed with -9: each effect once, and it goes on by itself',
} as const;

export type ConsumerRowName = keyof typeof consumerRows;

export const consumerRowNames = Object.keys(consumerRows) as ConsumerRowName[];
