import { setTimeout as sleep } from 'node:timers/promises';
import type { OutgoingMessage, SentRequest } from '../../core/outcome.ts';
import type { Connections, Lease } from '../shared/connections.ts';
import { filled, refused, requireSize } from '../shared/failures.ts';
import type { Publisher } from '../shared/pipelinedSender.ts';
import { Template } from '../shared/template.ts';
import { kafkaFailure } from './answers.ts';
import { KafkaLink, type Cluster } from './cluster.ts';
import type { KafkaSettings } from './keys.ts';
import { PartitionLane } from './lane.ts';
import { kafkaRecord, type KafkaRecord } from './message.ts';
import { partitionOf } from './partition.ts';
import { topicOf } from './topic.ts';
import { declareTopic } from './topics.ts';

/** Of batches; what a topic takes may be less. */
const batchBytesMax = 1_000_000;
const everyReplica = -1;
const leaderTriesMax = 5;
const leaderPauseMs = 50;

export interface KafkaTarget extends KafkaSettings {
  readonly timeoutMs: number;
}

/** Produces with `acks=all`: a record is acknowledged when every replica that is in sync has it, at least `min.insync.replicas`. */
export class KafkaPublisher implements Publisher {
  readonly #target: KafkaTarget;
  readonly #cluster: Cluster;
  readonly #lease: Lease<KafkaLink>;
  readonly #topic: Template;
  readonly #key: Template;
  readonly #lanes = new Map<string, PartitionLane>();
  readonly #declared = new Map<string, Promise<void>>();
  /** Where records without a key go at this moment. */
  #turn = 0;

  constructor(target: KafkaTarget, cluster: Cluster, connections: Connections) {
    this.#target = target;
    this.#cluster = cluster;
    this.#topic = new Template(target.topic);
    this.#key = new Template(target.key);
    this.#lease = connections.use(
      cluster.key,
      () => new KafkaLink(cluster),
      (link) => link.close(),
    );
  }

  async publish(message: OutgoingMessage, attempt: { readonly done: boolean }): Promise<void> {
    const topic = this.#topicFor(message);
    const record = kafkaRecord(this.#target, this.#key, message);
    try {
      if (this.#target.declare !== null) await this.#declare(topic);
      const { partitions, bytesMax, isCompacted } = await this.#lease.connection.topic(
        topic,
        this.#target.timeoutMs,
      );
      if (bytesMax !== null) requireSize(record.bytes, bytesMax, `max.message.bytes of topic ${topic}`);
      if (isCompacted && record.key === null)
        throw refused('rejected', `topic ${topic} is compacted, and the event has no key`);
      // Its deadline passed meanwhile.
      if (attempt.done) return;
      const partition = record.key === null ? this.#turn++ % partitions : partitionOf(record.key, partitions);
      await this.#lane(topic, partition, bytesMax).add(record, attempt);
    } catch (error) {
      throw kafkaFailure(error, this.#about(topic));
    }
  }

  describe(message: OutgoingMessage): SentRequest {
    const { key, headers } = kafkaRecord(this.#target, this.#key, message);
    return {
      address: `${this.#cluster.label} topic ${this.#topicFor(message)}${key === null ? '' : `, key ${key.toString()}`}`,
      headers: Object.fromEntries(headers),
    };
  }

  async check(): Promise<void> {
    try {
      await this.#lease.connection.within(this.#target.timeoutMs, (producer) =>
        producer.metadata({ topics: [], forceUpdate: true }),
      );
    } catch (error) {
      throw kafkaFailure(error, { said: this.#cluster.label, isConstant: true });
    }
  }

  close(): Promise<void> {
    return this.#lease.release();
  }

  #topicFor(message: OutgoingMessage): string {
    return topicOf(filled(this.#topic.fill(message), 'topic'));
  }

  #about(topic: string) {
    return { said: `${this.#cluster.label} topic ${topic}`, isConstant: this.#topic.isConstant };
  }

  #lane(topic: string, partition: number, bytesMax: number | null): PartitionLane {
    const key = `${topic}:${partition}`;
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const lane = new PartitionLane({
      send: (records) => this.#send(topic, partition, records),
      bytesMax: Math.min(batchBytesMax, bytesMax ?? batchBytesMax),
    });
    this.#lanes.set(key, lane);
    return lane;
  }

  async #send(topic: string, partition: number, records: readonly KafkaRecord[]): Promise<void> {
    const link = this.#lease.connection;
    const messages = records.map((record) => toSend(topic, partition, record));
    for (let tries = 1; ; tries++) {
      try {
        await link.within(this.#target.timeoutMs, (producer) =>
          producer.send({ acks: everyReplica, messages }),
        );
        return;
      } catch (error) {
        const isStale = await link.refused(error, topic);
        const failure = kafkaFailure(error, this.#about(topic));
        // Nothing was stored: the partition has another leader, or none yet. Nobody overtakes meanwhile.
        if (!isStale || failure.errorClass !== 'not-ready' || tries === leaderTriesMax) throw failure;
        await sleep(leaderPauseMs * 2 ** tries);
      }
    }
  }

  #declare(topic: string): Promise<void> {
    const known = this.#declared.get(topic);
    if (known !== undefined) return known;
    const declaring = declareTopic(
      this.#lease.connection,
      topic,
      this.#target.declare!,
      this.#target.timeoutMs,
    );
    this.#declared.set(topic, declaring);
    declaring.catch(() => this.#declared.delete(topic));
    return declaring;
  }
}

function toSend(topic: string, partition: number, { key, value, headers }: KafkaRecord) {
  return {
    topic,
    partition,
    headers: new Map(headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
    ...(key === null ? {} : { key }),
    ...(value === null ? {} : { value }),
  };
}
