/** What members of a group of Kafka do beside the suite: offsets, partitions that come, go and are trimmed, records that are none. */
import { Consumer as Client, Producer, type Admin } from '@platformatic/kafka';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createConsumer, type Consumer, type ConsumerOptions } from '../../src/consumer/index.ts';
import { migrateInbox } from '../../src/inbox/index.ts';
import { requireJars } from '../support/brokers/jars.ts';
import { administer, createTopic, launchKafka, type TestKafka } from '../support/brokers/kafka.ts';
import { atEnd } from '../support/cleanup.ts';
import { everything, onlyWithEverything } from '../support/everything.ts';
import { createTestDatabase, eventually, uniqueName } from '../support/index.ts';

let server: TestKafka;
let pool: pg.Pool;

beforeAll(async () => {
  if (!everything) return;
  requireJars('kafka');
  server = await launchKafka();
  const { url } = await createTestDatabase({ migrated: false });
  pool = new pg.Pool({ connectionString: url, max: 12, connectionTimeoutMillis: 5_000 });
  pool.on('error', () => undefined);
  await migrateInbox(pool);
  await pool.query('create table effects (number serial, topic text, text text)');
}, 120_000);

afterAll(async () => {
  await pool?.end();
  await server?.stop();
});

const options = () => ({ clientId: 'test', bootstrapBrokers: [server.plain], retries: 5 });

async function put(topic: string, texts: readonly (string | null)[], partition?: number): Promise<void> {
  const producer = new Producer(options());
  try {
    await producer.send({
      acks: -1,
      messages: texts.map((text) => ({
        topic,
        ...(partition === undefined ? {} : { partition }),
        value: (text === null ? null : Buffer.from(text)) as Buffer,
      })),
    });
  } finally {
    await producer.close();
  }
}

function consume(topic: string, more: Partial<ConsumerOptions> = {}): Consumer {
  const consumer = createConsumer({
    from: { type: 'kafka', brokers: [server.plain], topic, group: topic, sessionTimeout: '3s' },
    consumer: topic,
    pool,
    onError: () => undefined,
    handler: (client, message) =>
      client.query('insert into effects (topic, text) values ($1, $2)', [topic, message.text()]),
    ...more,
  });
  atEnd(() => consumer.stop());
  return consumer;
}

const effects = async (topic: string): Promise<string[]> =>
  (
    await pool.query<{ text: string }>('select text from effects where topic = $1 order by number', [topic])
  ).rows.map(({ text }) => text);

async function stands(topic: string, partitions: readonly number[]): Promise<number[]> {
  const client = new Client({ ...options(), groupId: topic });
  try {
    const found = await client.listCommittedOffsets({ topics: [{ topic, partitions: [...partitions] }] });
    return partitions.map((each) => Number(found.get(topic)?.[each] ?? -1n));
  } finally {
    await Promise.resolve(client.close(true));
  }
}

const texts = (count: number): string[] => Array.from({ length: count }, (_, n) => `"${n}"`);

test('an offset is committed when all below it are done', async (context) => {
  onlyWithEverything(context, 'a broker');
  const topic = uniqueName('topic');
  await createTopic(server, topic, { partitions: 1 });
  await put(topic, texts(20));
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const consumer = consume(topic, {
    handler: async (client, message) => {
      if (message.text() === '"5"') await held;
      await client.query('insert into effects (topic, text) values ($1, $2)', [topic, message.text()]);
    },
  });
  await eventually(async () => expect(await effects(topic)).toHaveLength(19));
  await eventually(async () => expect(await stands(topic, [0])).toEqual([5]));
  release();
  await eventually(async () => expect(await stands(topic, [0])).toEqual([20]));
  await consumer.stop();
}, 120_000);

test('partitions that a topic gets later are taken, from their beginning', async (context) => {
  onlyWithEverything(context, 'a broker');
  const topic = uniqueName('topic');
  await createTopic(server, topic, { partitions: 1 });
  await put(topic, ['"a"']);
  consume(topic);
  await eventually(async () => expect(await effects(topic)).toEqual(['"a"']));
  await administer(server.plain, (admin: Admin) =>
    admin.createPartitions({ topics: [{ name: topic, count: 2, assignments: [{ brokerIds: [1] }] }] }),
  );
  await eventually(() => put(topic, ['"b"'], 1));
  await eventually(async () => expect(await effects(topic)).toEqual(['"a"', '"b"']), { timeout: 60_000 });
}, 120_000);

test('where the server deleted what was to come it goes on with what is there, and says so', async (context) => {
  onlyWithEverything(context, 'a broker');
  const topic = uniqueName('topic');
  await createTopic(server, topic, { partitions: 1 });
  await put(topic, texts(2));
  const first = consume(topic);
  await eventually(async () => expect(await stands(topic, [0])).toEqual([2]));
  await first.stop();
  await put(topic, texts(10));
  await administer(server.plain, (admin: Admin) =>
    admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 9n }] }] }),
  );
  const said: string[] = [];
  consume(topic, { onError: (error) => said.push(String(error)) });
  await eventually(async () => expect(await effects(topic)).toHaveLength(5));
  expect(said.join('\n')).toContain(`${topic}[0]: the server has no offset 2 any more; going on from 9`);
  await eventually(async () => expect(await stands(topic, [0])).toEqual([12]));
}, 120_000);

test('a tombstone has the body null, and records of aborted transactions are not seen', async (context) => {
  onlyWithEverything(context, 'a broker');
  const topic = uniqueName('topic');
  await createTopic(server, topic, { partitions: 1 });
  await put(topic, [null]);
  // The broker makes its log of transactions for the first of them.
  const producer = new Producer({ ...options(), retries: 100, idempotent: true, transactionalId: topic });
  for (const end of ['abort', 'commit', 'abort'] as const) {
    const transaction = await producer.beginTransaction();
    await transaction.send({ messages: [{ topic, value: Buffer.from(`"${end}"`) }] });
    await transaction[end]();
  }
  await producer.close();
  await put(topic, ['"last"']);
  consume(topic);
  // Without keys several are handled at once.
  await eventually(async () => expect((await effects(topic)).sort()).toEqual(['"commit"', '"last"', 'null']));
  // With the records that say how transactions ended.
  await eventually(async () => expect(await stands(topic, [0])).toEqual([8]));
}, 120_000);

test('a topic that is not there yet is waited for', async (context) => {
  onlyWithEverything(context, 'a broker');
  const topic = uniqueName('topic');
  const said: string[] = [];
  consume(topic, { onError: (error) => said.push(String(error)) });
  await eventually(async () => expect(said.join('\n')).toMatch(/topic/i));
  await createTopic(server, topic, { partitions: 1 });
  await put(topic, ['"a"']);
  await eventually(async () => expect(await effects(topic)).toEqual(['"a"']), { timeout: 30_000 });
}, 120_000);
