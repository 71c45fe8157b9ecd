/** The cluster a destination names, and the client that all of its destinations share. */
import type * as Kafka from '@platformatic/kafka';
import type { Admin, Producer } from '@platformatic/kafka';
import { loadClient } from '../shared/clients.ts';
import type { ReadHostPorts } from '../shared/hostPortList.ts';
import { hidden, readSecret } from '../shared/secretValues.ts';
import { labelOf } from '../shared/plainAddress.ts';
import { readTls } from '../shared/tlsOptions.ts';
import { untilDeadline } from '../shared/untilDeadline.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { isStale } from './answers.ts';
import { kafkaClient } from './client.ts';
import type { KafkaSettings } from './keys.ts';

export interface Cluster {
  readonly brokers: readonly string[];
  /** For messages. */
  readonly label: string;
  readonly sasl: Kafka.SASLOptions | undefined;
  readonly tls: Readonly<Record<string, unknown>> | undefined;
  readonly secrets: readonly string[];
  /** The same for all destinations of one cluster and login. Stays in memory. */
  readonly key: string;
}

/**
 * `readAddresses`: `readHostPorts` for destinations, `readHostPortList` for consumers.
 * @throws OutboxError naming what is missing or malformed
 */
export function prepareCluster(
  { brokers, sasl, tls }: Pick<KafkaSettings, 'brokers' | 'sasl' | 'tls'>,
  source: SecretSource,
  readAddresses: ReadHostPorts,
): Cluster {
  const addresses = brokers.flatMap((written, index) => readAddresses(`brokers[${index}]`, written, source));
  const login = sasl === null ? undefined : readSasl(sasl, source);
  const options = readTls(tls, source);
  return {
    brokers: addresses,
    label: labelOf(addresses),
    sasl: login,
    tls: options,
    secrets: hidden([login?.password, login?.token]),
    key: `kafka ${addresses.join()} ${JSON.stringify([login, options])}`,
  };
}

function readSasl(
  { mechanism, username, password, token }: NonNullable<KafkaSettings['sasl']>,
  source: SecretSource,
): Kafka.SASLOptions {
  return {
    mechanism,
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password: readSecret(password, source) }),
    ...(token === null ? {} : { token: readSecret(token, source) }),
  };
}

const connectTimeoutMs = 10_000;
/** Of the client's own; a delivery's deadline is mostly shorter. */
const requestTimeoutMs = 30_000;
/** How long what was learnt of a topic holds. */
const topicMsMax = 5_000;
const limitMsMax = 300_000;
const limitTimeoutMs = 5_000;

/** Nothing is tried again by the client itself. */
export function clientOptions({ brokers, sasl, tls }: Cluster) {
  return {
    clientId: 'temporal-outbox',
    bootstrapBrokers: [...brokers],
    connectTimeout: connectTimeoutMs,
    requestTimeout: requestTimeoutMs,
    timeout: requestTimeoutMs - 5_000,
    retries: 0,
    repeatOnStaleMetadata: false,
    ...(sasl === undefined ? {} : { sasl }),
    ...(tls === undefined ? {} : { tls }),
  };
}

export interface Topic {
  readonly partitions: number;
  /** `max.message.bytes`; null where the login may not ask for it. */
  readonly bytesMax: number | null;
  /** Whether it is compacted: then every record needs a key. */
  readonly isCompacted: boolean;
}

/**
 * One producer, which has a connection to each broker that it needs, made again when one broke. It tries nothing again by itself: a
 * message whose fate is unknown is sent again by us, in its key's order.
 */
export class KafkaLink {
  readonly #cluster: Cluster;
  readonly #topics = new Map<string, Learnt<number>>();
  readonly #limits = new Map<string, Learnt<Omit<Topic, 'partitions'>>>();
  readonly #connections = new WeakMap<Producer, Set<Kafka.Connection>>();
  #producer: Promise<Producer> | undefined;
  #admin: Promise<Admin> | undefined;
  #administering = 0;
  #answeredAtMs = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async topic(name: string, timeoutMs: number): Promise<Topic> {
    const partitions = await recent(this.#topics, name, topicMsMax, () =>
      this.within(timeoutMs, async (producer) => {
        const { topics } = await producer.metadata({ topics: [name] });
        return topics.get(name)?.partitionsCount ?? 1;
      }),
    );
    const limits = await recent(this.#limits, name, limitMsMax, () => this.#limitsOf(name));
    return { partitions, ...limits };
  }

  /**
   * Has the producer do something. Brokers that are silent for so long are not waited for: the connections are given up, or whatever comes
   * next would wait behind it.
   */
  async within<Result>(timeoutMs: number, work: (producer: Producer) => Promise<Result>): Promise<Result> {
    const opening = (this.#producer ??= this.#open((client) =>
      this.#observed(new client.Producer(clientOptions(this.#cluster))),
    ));
    const producer = await opening;
    const startedAtMs = performance.now();
    const result = await untilDeadline(work(producer), timeoutMs, {
      said: this.#cluster.label,
      late: () => {
        if (this.#answeredAtMs > startedAtMs) return;
        if (this.#producer === opening) this.#producer = undefined;
        this.#topics.clear();
        void this.#end(producer);
      },
    });
    this.#answeredAtMs = performance.now();
    return result;
  }

  /** Forgets what an answer shows to be out of date; says whether it does. */
  async refused(error: unknown, topic: string): Promise<boolean> {
    if (!isStale(error)) return false;
    this.#topics.delete(topic);
    (await this.#producer)?.clearMetadata();
    return true;
  }

  /** With a client that is there as long as somebody uses it. */
  async administer<Result>(work: (admin: Admin) => Promise<Result>): Promise<Result> {
    this.#administering++;
    const opening = (this.#admin ??= this.#open((client) => new client.Admin(clientOptions(this.#cluster))));
    try {
      return await work(await opening);
    } finally {
      if (--this.#administering === 0) {
        this.#admin = undefined;
        await opening.then((admin) => admin.close()).catch(() => undefined);
      }
    }
  }

  async close(): Promise<void> {
    const producer = await this.#producer?.catch(() => undefined);
    this.#producer = undefined;
    if (producer !== undefined) await this.#end(producer);
  }

  async #end(producer: Producer): Promise<void> {
    await producer.close().catch(() => undefined);
    // The client forgets a connection that was made while another to the same broker was closing.
    const left = [...(this.#connections.get(producer) ?? [])];
    await Promise.all(left.map((connection) => connection.close().catch(() => undefined)));
  }

  /** What cannot be learnt is not known: the answer to a message that is too large says so too. */
  #limitsOf(topic: string): Promise<Omit<Topic, 'partitions'>> {
    const asked = this.administer(async (admin) => {
      const configs = await configsOf(admin, topic);
      const bytes = configs.get('max.message.bytes');
      return {
        bytesMax: bytes === undefined ? null : Number(bytes),
        isCompacted: configs.get('cleanup.policy')?.includes('compact') === true,
      };
    });
    return untilDeadline(asked, limitTimeoutMs, { said: this.#cluster.label }).catch(() => ({
      bytesMax: null,
      isCompacted: false,
    }));
  }

  #observed(producer: Producer): Producer {
    const connections = new Set<Kafka.Connection>();
    this.#connections.set(producer, connections);
    producer.on('client:broker:connect', ({ connection }) => {
      if (connection === undefined) return;
      connections.add(connection);
      connection.once('close', () => connections.delete(connection));
    });
    return producer;
  }

  async #open<Client>(make: (client: typeof Kafka) => Client): Promise<Client> {
    return make(await loadClient<typeof Kafka>(kafkaClient, 'kafka'));
  }
}

const topicResource = 2;

/** A topic's settings by name. */
export async function configsOf(admin: Admin, topic: string): Promise<ReadonlyMap<string, string>> {
  const [described] = await admin.describeConfigs({
    resources: [
      {
        resourceType: topicResource,
        resourceName: topic,
        configurationKeys: ['max.message.bytes', 'min.insync.replicas', 'cleanup.policy'],
      },
    ],
  });
  return new Map((described?.configs ?? []).map(({ name, value }) => [name, value ?? '']));
}

interface Learnt<Value> {
  readonly atMs: number;
  readonly value: Promise<Value>;
}

/** Asked for once, by however many messages; a failure is not kept. */
function recent<Value>(
  known: Map<string, Learnt<Value>>,
  name: string,
  msMax: number,
  ask: () => Promise<Value>,
): Promise<Value> {
  const last = known.get(name);
  const nowMs = performance.now();
  if (last !== undefined && nowMs - last.atMs < msMax) return last.value;
  const value = ask();
  known.set(name, { atMs: nowMs, value });
  value.catch(() => known.delete(name));
  return value;
}
