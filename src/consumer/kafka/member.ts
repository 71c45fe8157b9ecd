/** A member of a consumer group: its partitions, as they come and go, and how far each is done. */
import type * as Kafka from '@platformatic/kafka';
import { kafkaClient } from '../../destination/kafka/client.ts';
import { clientOptions, type Cluster } from '../../destination/kafka/cluster.ts';
import { loadClient } from '../../destination/shared/clients.ts';
import { untilDeadline } from '../../destination/shared/untilDeadline.ts';
import { isElsewhere } from './answers.ts';
import { Commits } from './commits.ts';
import { Partition } from './partition.ts';
import { messagesOf } from './records.ts';

export interface MemberSettings {
  readonly cluster: Cluster;
  readonly topics: readonly string[];
  readonly group: string;
  readonly start: 'earliest' | 'latest';
  readonly sessionTimeoutMs: number;
}

export interface MemberHooks {
  /** It has to be made anew. */
  readonly lost: (error?: unknown) => void;
  /** It has other partitions than before. */
  readonly changed: () => void;
}

const heartbeatMsMax = 3_000;
/** Others may take so long to come along; we are there at once. */
const rebalanceMs = 60_000;
const watchEveryMs = 1_000;
/** How often it is looked whether topics have more partitions by now. */
const learnEveryMs = 10_000;
const endMs = 5_000;
const bytesMax = 10 * 2 ** 20;
const partitionBytesMax = 2 ** 20;
const edges = { earliest: -2n, latest: -1n };

export class Member {
  readonly #settings: MemberSettings;
  readonly #hooks: MemberHooks;
  readonly #partitions = new Map<string, Partition>();
  readonly #commits = new Commits(() => this.#partitions.values());
  #client: Kafka.Consumer | undefined;
  /** Requests that wait for messages hold up none of the group. */
  #fetches: Kafka.ConnectionPool | undefined;
  #metadata: Kafka.ClusterMetadata | undefined;
  #assigning: Promise<void> = Promise.resolve();
  #memberId: string | null = null;
  #generation = -1;
  #joining = true;
  #heardAtMs = 0;
  #learntAtMs = 0;
  #watch: NodeJS.Timeout | undefined;
  #turn = 0;
  #closed = false;

  constructor(settings: MemberSettings, hooks: MemberHooks) {
    this.#settings = settings;
    this.#hooks = hooks;
  }

  get label(): string {
    return this.#settings.cluster.label;
  }

  /** Resolves when it has its first partitions, or none as there are enough members. */
  async join(closing: AbortSignal): Promise<void> {
    const { cluster, topics, group, sessionTimeoutMs } = this.#settings;
    const kafka = await loadClient<typeof Kafka>(kafkaClient, 'kafka');
    const waitMs = Math.max(rebalanceMs, sessionTimeoutMs);
    // It answers a join when all members came or were given up.
    const options = { ...clientOptions(cluster), requestTimeout: waitMs + endMs };
    this.#fetches = new kafka.ConnectionPool(options.clientId, options);
    const client = new kafka.Consumer({
      ...options,
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: waitMs,
      heartbeatInterval: Math.min(heartbeatMsMax, Math.ceil(sessionTimeoutMs / 4)),
    });
    this.#client = client;
    client.on('error', (error) => this.lost(error));
    client.on('consumer:heartbeat:end', () => (this.#heardAtMs = Date.now()));
    client.on('consumer:heartbeat:error', ({ error }) => isElsewhere(error) && this.lost(error));
    client.on('consumer:group:rebalance', () => {
      // Just in time: who gets a partition begins where the group is told to be.
      void this.#commits.now(client);
      this.#joining = true;
    });
    client.on('consumer:group:join', ({ memberId, generationId = 0, assignments = [] }) => {
      this.#heardAtMs = Date.now();
      this.#joining = false;
      this.#assigning = this.#assigning
        .then(() => this.#assign(client, memberId, generationId, assignments))
        .catch((error: unknown) => this.lost(error));
    });
    client.topics.trackAll(...topics);
    const stopped = new Promise<never>((_resolve, reject) =>
      closing.addEventListener('abort', () => reject(new Error('the consumer stops')), { once: true }),
    );
    await Promise.race([this.learn().then(() => client.joinGroup({})), stopped]);
    await this.#assigning;
    this.#watch = setInterval(() => void this.#look(client), watchEveryMs);
  }

  /** All of them, another one first each time. */
  inTurn(): readonly Partition[] {
    const all = [...this.#partitions.values()];
    const first = this.#turn++ % Math.max(1, all.length);
    return [...all.slice(first), ...all.slice(0, first)];
  }

  leaderOf({ topic, number }: Partition): number {
    return this.#metadata?.topics.get(topic)?.partitions[number]?.leader ?? -1;
  }

  topicId(topic: string): string {
    return this.#metadata?.topics.get(topic)?.id ?? topic;
  }

  /** Asks for leaders and partitions. */
  async learn(): Promise<void> {
    this.#learntAtMs = Date.now();
    const topics = [...this.#settings.topics];
    this.#metadata = await this.#client?.metadata({ topics, forceUpdate: true });
  }

  async fetch(leader: number, partitions: readonly Partition[], maxWaitTime: number): Promise<void> {
    const asked = partitions.map((partition) => ({ partition, from: partition.next }));
    const response = await this.#client!.fetch({
      node: leader,
      maxWaitTime,
      minBytes: 1,
      maxBytes: bytesMax,
      connectionPool: this.#fetches!,
      topics: asked.map(({ partition: { topic, number }, from }) => ({
        topicId: this.topicId(topic),
        partitions: [
          {
            partition: number,
            fetchOffset: from,
            partitionMaxBytes: partitionBytesMax,
            currentLeaderEpoch: -1,
            lastFetchedEpoch: -1,
          },
        ],
      })),
    });
    for (const topic of response.responses)
      for (const found of topic.partitions) {
        const of = asked.find(
          ({ partition }) =>
            partition.number === found.partitionIndex && this.topicId(partition.topic) === topic.topicId,
        );
        if (of === undefined || of.partition.lost.aborted) continue;
        const { records, next } = messagesOf(found, of.from);
        of.partition.fetched(records, next);
      }
  }

  /** The first offset there is, or the one that comes next. */
  async edgeOf(topic: string, number: number, edge: 'earliest' | 'latest'): Promise<bigint> {
    const found = await this.#client!.listOffsets({
      topics: [topic],
      partitions: { [topic]: [number] },
      timestamp: edges[edge],
    });
    return found.get(topic)?.[number] ?? 0n;
  }

  /** Something is done with: the group is told soon. */
  settled(): void {
    if (this.#client !== undefined) this.#commits.soon(this.#client, () => this.#joining);
  }

  lost(error: unknown = new Error(`${this.label}: no answer`)): void {
    if (!this.#closed) this.#hooks.lost(error);
  }

  /** Tells how far all is done, and leaves the group: the others need not wait until it is missed. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    const client = this.#client;
    const within = (work: Promise<unknown> = Promise.resolve()) =>
      untilDeadline(work, endMs, { said: this.label }).catch(() => undefined);
    if (client !== undefined) {
      await within(this.#commits.now(client));
      this.#commits.close();
      await within(Promise.resolve(client.close(true)));
      // Where it could not leave, its connections are open still.
      await within(client.connections.close());
    }
    await within(this.#fetches?.close());
    for (const partition of this.#partitions.values()) partition.lose();
  }

  async #assign(
    client: Kafka.Consumer,
    memberId: string,
    generation: number,
    assignments: readonly Kafka.GroupAssignment[],
  ): Promise<void> {
    // Who missed a generation has to ask anew: others may have gone on.
    const isNext = memberId === this.#memberId && generation === this.#generation + 1;
    [this.#memberId, this.#generation] = [memberId, generation];
    const given = new Map<string, Place>(
      assignments.flatMap(({ topic, partitions }) =>
        partitions.map((number): [string, Place] => [`${topic} ${number}`, { topic, number }]),
      ),
    );
    for (const [name, partition] of this.#partitions)
      if (!isNext || !given.has(name)) {
        partition.lose();
        this.#partitions.delete(name);
      }
    const fresh = [...given].filter(([name]) => !this.#partitions.has(name));
    const stands =
      fresh.length === 0
        ? new Map<string, bigint[]>()
        : await standOf(
            client,
            fresh.map(([, place]) => place),
          );
    for (const [name, { topic, number }] of fresh) {
      const stand = stands.get(topic)?.[number] ?? -1n;
      const from = stand >= 0n ? stand : await this.edgeOf(topic, number, this.#settings.start);
      this.#partitions.set(name, new Partition(topic, number, from));
    }
    this.settled();
    this.#hooks.changed();
  }

  /** Whether it is still one of the group, and whether the topics have as many partitions as they had. */
  async #look(client: Kafka.Consumer): Promise<void> {
    const patienceMs = this.#joining ? rebalanceMs + this.#settings.sessionTimeoutMs : 0;
    if (Date.now() > this.#heardAtMs + this.#settings.sessionTimeoutMs + patienceMs)
      return this.lost(new Error(`${this.label}: the group ${this.#settings.group} does not answer`));
    if (this.#joining || Date.now() < this.#learntAtMs + learnEveryMs) return;
    const count = () =>
      [...(this.#metadata?.topics.values() ?? [])].reduce(
        (sum, { partitionsCount }) => sum + partitionsCount,
        0,
      );
    const before = count();
    await this.learn().catch(() => undefined);
    if (count() !== before && !this.#closed)
      await client.joinGroup({}).catch((error: unknown) => this.lost(error));
  }
}

interface Place {
  readonly topic: string;
  readonly number: number;
}

/** Where the group stands; nothing, or -1, where it never was. */
function standOf(client: Kafka.Consumer, places: readonly Place[]): Promise<Kafka.Offsets> {
  const topics = new Map<string, number[]>();
  for (const { topic, number } of places) topics.set(topic, [...(topics.get(topic) ?? []), number]);
  return client.listCommittedOffsets({
    topics: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
  });
}
