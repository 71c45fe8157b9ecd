/** A real Kafka broker (KRaft, one node), with a listener in the clear, one with logins and one with certificates. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Admin, Consumer } from '@platformatic/kafka';
import { freePort } from '../../../src/embedded/ports.ts';
import { selfSigned } from '../certificate.ts';
import { classPath } from './jars.ts';
import { eventually } from '../eventually.ts';
import { uniqueName } from '../database.ts';
import { atEnd } from '../cleanup.ts';
import { brokerDirectory, launchBroker, type BrokerProcess } from './process.ts';

export interface TestKafka extends BrokerProcess {
  /** `127.0.0.1:<port>` of each listener. */
  readonly plain: string;
  /** SASL PLAIN: `outbox` with `right-pass` may do all, `stranger` with `right-pass` nothing. */
  readonly sasl: string;
  /** `localhost:<port>`; asks for our certificate. */
  readonly tls: string;
  /** In the clear; leads clients to the proxy. */
  readonly wire: string;
  /** The broker's certificate, and ours with its key. */
  readonly certificates: { readonly theirs: string; readonly ours: string; readonly ourKey: string };
}

/** Stopped when the test (or the file) ends. */
export async function startKafka(): Promise<TestKafka> {
  const server = await launchKafka();
  atEnd(server.stop);
  return server;
}

/** Makes no topics by itself. The caller stops it. `proxy`: what `wire` tells clients to connect to. */
export async function launchKafka(proxy = '127.0.0.1:1'): Promise<TestKafka> {
  const directory = await brokerDirectory('kafka');
  const ports = {
    plain: await freePort(),
    sasl: await freePort(),
    tls: await freePort(),
    control: await freePort(),
    wire: await freePort(),
  };
  const [theirs, ours] = [selfSigned(), selfSigned()];
  const file = join(directory, 'server.properties');
  await writeFile(file, properties(directory, ports, { theirs, ours: ours.cert, proxy }));
  const java = [`-Duser.home=${directory}`, '-cp', classPath('kafka')!];
  await promisify(execFile)('java', [
    ...java,
    ...['kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qk', '-c', file],
  ]);
  const plain = `127.0.0.1:${ports.plain}`;
  const process = await launchBroker({
    directory,
    command: 'java',
    args: ['-Xmx512m', ...java, 'kafka.Kafka', file],
    port: ports.plain,
    ready: () => administer(plain, (admin) => admin.listTopics({})),
    patience: 180_000,
  });
  return {
    plain,
    sasl: `127.0.0.1:${ports.sasl}`,
    tls: `localhost:${ports.tls}`,
    wire: `127.0.0.1:${ports.wire}`,
    certificates: { theirs: theirs.cert, ours: ours.cert, ourKey: ours.key },
    ...process,
  };
}

function properties(
  directory: string,
  ports: Readonly<Record<'plain' | 'sasl' | 'tls' | 'control' | 'wire', number>>,
  {
    theirs,
    ours,
    proxy,
  }: {
    readonly theirs: { readonly key: string; readonly cert: string };
    readonly ours: string;
    readonly proxy: string;
  },
): string {
  const listeners = `PLAIN://127.0.0.1:${ports.plain},LOGIN://127.0.0.1:${ports.sasl},TLS://localhost:${ports.tls}`;
  const pem = (text: string) => text.trim().replaceAll('\n', '\\n\\\n');
  return [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@127.0.0.1:${ports.control}`,
    'controller.listener.names=CONTROLLER',
    `listeners=${listeners},WIRE://127.0.0.1:${ports.wire},CONTROLLER://127.0.0.1:${ports.control}`,
    `advertised.listeners=${listeners},WIRE://${proxy}`,
    'listener.security.protocol.map=PLAIN:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SSL,WIRE:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name=PLAIN',
    'sasl.enabled.mechanisms=PLAIN',
    'listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_outbox="right-pass" user_stranger="right-pass";',
    'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users=User:ANONYMOUS;User:outbox;User:CN=localhost',
    ...['keystore', 'truststore'].map((store) => `listener.name.tls.ssl.${store}.type=PEM`),
    `listener.name.tls.ssl.keystore.key=${pem(theirs.key)}`,
    `listener.name.tls.ssl.keystore.certificate.chain=${pem(theirs.cert)}`,
    `listener.name.tls.ssl.truststore.certificates=${pem(ours)}`,
    'listener.name.tls.ssl.client.auth=required',
    `log.dirs=${join(directory, 'data')}`,
    'auto.create.topics.enable=false',
    'num.partitions=3',
    'default.replication.factor=1',
    'offsets.topic.replication.factor=1',
    'offsets.topic.num.partitions=1',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    'group.initial.rebalance.delay.ms=0',
    'group.min.session.timeout.ms=1000',
    '',
  ].join('\n');
}

/** Once, against the broker that is named. */
export async function administer<Result>(
  broker: string,
  work: (admin: Admin) => Promise<Result>,
): Promise<Result> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [broker], retries: 0 });
  try {
    return await work(admin);
  } finally {
    await admin.close();
  }
}

export async function createTopic(
  { plain }: Pick<TestKafka, 'plain'>,
  topic: string,
  { partitions = 3, ...configs }: { readonly partitions?: number } & Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await administer(plain, (admin) =>
    admin.createTopics({
      topics: [topic],
      partitions,
      replicas: 1,
      configs: Object.entries(configs).map(([name, value]) => ({ name, value: String(value) })),
    }),
  );
  // Told before it has leaders.
  await eventually(() =>
    administer(plain, async (admin) => {
      await admin.metadata({ topics: [topic] });
    }),
  );
}

export interface StoredRecord {
  readonly partition: number;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: string | null;
  readonly bytes: Buffer | null;
}

export async function topicIsThere({ plain }: Pick<TestKafka, 'plain'>, topic: string): Promise<boolean> {
  return (await administer(plain, (admin) => admin.listTopics({}))).includes(topic);
}

/** How many records were written to a topic. */
export async function written(broker: string, topic: string): Promise<number> {
  const counts = await administer(broker, async (admin) => {
    const { topics } = await admin.metadata({ topics: [topic] });
    const partitions = Array.from({ length: topics.get(topic)!.partitionsCount }, (_, partitionIndex) => ({
      partitionIndex,
      timestamp: latest,
    }));
    return admin.listOffsets({ topics: [{ name: topic, partitions }] });
  });
  return counts.flatMap(({ partitions }) => partitions).reduce((sum, { offset }) => sum + Number(offset), 0);
}

const latest = -1n;

/** All that a topic holds, each partition in its order. */
export async function readTopic(
  { plain }: Pick<TestKafka, 'plain'>,
  topic: string,
): Promise<readonly StoredRecord[]> {
  const count = await eventually(() => written(plain, topic));
  const read: StoredRecord[] = [];
  if (count === 0) return read;
  const consumer = new Consumer({
    clientId: 'test',
    groupId: uniqueName('group'),
    bootstrapBrokers: [plain],
  });
  try {
    const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
    for await (const { partition, key, headers, value } of stream) {
      read.push({
        partition,
        key: key?.toString() ?? null,
        headers: Object.fromEntries([...headers].map(([name, text]) => [name.toString(), text.toString()])),
        value: value?.toString() ?? null,
        bytes: value ?? null,
      });
      if (read.length === count) break;
    }
  } finally {
    await Promise.resolve(consumer.close(true));
  }
  return read;
}

/** Keys and values as lines, written by Kafka's own Java producer. */
export async function produceByJava(
  { plain }: Pick<TestKafka, 'plain'>,
  topic: string,
  keys: readonly string[],
): Promise<void> {
  const running = runTool('org.apache.kafka.tools.ConsoleProducer', [
    ...['--bootstrap-server', plain, '--topic', topic],
    ...['--property', 'parse.key=true', '--property', 'key.separator=|'],
  ]);
  running.child.stdin!.end(keys.map((key) => `${key}|java\n`).join(''));
  await running;
}

/** `kafka-topics.sh` as a shell calls it. */
export function kafkaTopicsCommand(): string {
  return `java -Xmx128m -cp '${classPath('kafka')!}' org.apache.kafka.tools.TopicCommand`;
}

function runTool(main: string, args: readonly string[]) {
  return promisify(execFile)('java', ['-Dfile.encoding=UTF-8', '-cp', classPath('kafka')!, main, ...args], {
    maxBuffer: 64 * 2 ** 20,
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  });
}
