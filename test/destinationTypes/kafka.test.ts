/** type: kafka against a real broker. */
import { beforeAll, expect, test } from 'vitest';
import { Connections } from '../../src/destination/shared/connections.ts';
import { classPath, requireJars } from '../support/brokers/jars.ts';
import {
  createTopic,
  produceByJava,
  readTopic,
  startKafka,
  type TestKafka,
} from '../support/brokers/kafka.ts';
import { everything } from '../support/everything.ts';
import { uniqueName } from '../support/index.ts';
import { leaveBrokersToEverything } from '../support/requires.ts';
import { explained, failure, fileWith, kindsOf, look, numbered, numberOf, open, sendMany } from './opened.ts';
import { problemsIn } from './support.ts';

let server: TestKafka | undefined;

beforeAll(async () => {
  if (everything && classPath('kafka') !== undefined) server = await startKafka();
}, 120_000);

function kafka(): TestKafka {
  leaveBrokersToEverything();
  requireJars('kafka');
  return server!;
}

const lines = (topic: string, ...more: string[]): string[] => [
  `brokers: ['${kafka().plain}']`,
  `topic: '${topic}'`,
  ...more,
];

async function newTopic(configs: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const topic = uniqueName('topic');
  await createTopic(kafka(), topic, configs);
  return topic;
}

test('what is acknowledged survives a broker that is killed with -9 at once, in order per key and under its ids', async () => {
  const { kill9, start } = kafka();
  const topic = await newTopic();
  const sender = open('kafka', lines(topic));
  const outcomes = await sendMany(sender, 1000, (number) => ({ key: `key-${number % 7}` }));
  await kill9();
  expect(kindsOf(outcomes)).toEqual(['acknowledged']);
  expect(await sender.deliver(numbered(1000))).toMatchObject({ kind: 'unreachable' });
  await start();
  const stored = await readTopic(kafka(), topic);
  expect(stored).toHaveLength(1000);
  for (let key = 0; key < 7; key++) {
    const numbers = stored.filter((each) => each.key === `key-${key}`).map(({ value }) => numberOf(value!));
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  }
  for (const { value, headers } of stored)
    expect(headers['webhook-id']).toBe(numbered(numberOf(value!)).eventId);
  // The same sender connects again by itself.
  expect(await sender.deliver(numbered(1001))).toMatchObject({ kind: 'acknowledged', status: null });
});

test('a key goes to the partition that Java’s client selects, whatever its alphabet', async () => {
  const topic = await newTopic({ partitions: 13 });
  const keys = ['a', 'ab', 'abc', 'abcd', 'customer-42', 'käy', '日本語', '🦊', 'x'.repeat(301)];
  await produceByJava(kafka(), topic, keys);
  const sender = open('kafka', lines(topic));
  for (const key of keys) await sender.deliver({ key, payload: '"ours"' });
  const stored = await readTopic(kafka(), topic);
  for (const key of keys) {
    const partitions = stored.filter((each) => each.key === key).map(({ partition }) => partition);
    expect(partitions).toHaveLength(2);
    expect(new Set(partitions).size).toBe(1);
  }
});

test('no topic, too large, a name no topic can have: refused, each in words', async () => {
  expect(await open('kafka', lines('nowhere')).deliver()).toMatchObject({
    permanent: false,
    ...failure('refused', 'unknown-target', 'topic nowhere: there is no such topic'),
  });
  const byType = open('kafka', lines('{type}'));
  expect(await byType.deliver({ type: 'no.where' })).toMatchObject({
    permanent: true,
    ...failure('refused', 'unroutable', 'topic no.where: there is no such topic'),
  });
  for (const type of ['a b', 'größe', '', '..', 'x'.repeat(250)])
    expect(await byType.deliver({ type })).toMatchObject(
      failure('refused', 'invalid-message', 'a topic’s name is'.replace('’', "'")),
    );
  const small = await newTopic({ 'max.message.bytes': 2000 });
  const limited = open('kafka', lines(small));
  const [fits, large] = await Promise.all([
    limited.deliver({ key: 'a' }),
    limited.deliver({ key: 'a', payload: `"${'x'.repeat(2000)}"` }),
  ]);
  expect(fits).toMatchObject({ kind: 'acknowledged' });
  expect(large).toMatchObject(
    failure('refused', 'too-large', `max.message.bytes of topic ${small} allows (2000 bytes)`),
  );
  const lonely = await newTopic({ 'min.insync.replicas': 2 });
  expect(await look('kafka', lines(lonely))).toMatchObject([
    { level: 'warn', hint: expect.stringContaining('acknowledge nothing') as string },
  ]);
});

test('one record that the topic refuses takes none of its batch with it', async () => {
  const topic = await newTopic({ partitions: 1, 'cleanup.policy': 'compact' });
  const sender = open('kafka', lines(topic, 'tombstones: true'));
  const outcomes = await sendMany(sender, 20, (number) => ({ key: number === 7 ? null : `k${number}` }));
  outcomes.forEach((outcome, number) =>
    expect(outcome).toMatchObject(
      number === 7
        ? failure('refused', 'rejected', 'compacted, and the event has no key')
        : { kind: 'acknowledged' },
    ),
  );
  expect(await sender.deliver({ key: 'k1', payload: 'null' })).toMatchObject({ kind: 'acknowledged' });
  expect((await readTopic(kafka(), topic)).at(-1)).toMatchObject({ key: 'k1', value: null });
});

test('an empty payload, almost 1 MiB, non-ASCII keys and headers, and CloudEvents arrive as they are', async () => {
  const topic = await newTopic({ partitions: 1 });
  const sender = open('kafka', lines(topic, 'cloudEvents: binary'));
  const payloads = ['', `"${'x'.repeat(1024 * 1024 - 2000)}"`, '{"ä": "日本"}'];
  for (const [index, payload] of payloads.entries())
    expect(
      await sender.deliver(numbered(index, { payload, key: 'käy', headers: { 'x-ü': 'ß日' } })),
    ).toMatchObject({ kind: 'acknowledged' });
  await open('kafka', lines(topic, 'cloudEvents: structured', "key: '{type}'")).deliver(numbered(5));
  const stored = await readTopic(kafka(), topic);
  expect(stored.slice(0, 3).map(({ value }) => value)).toEqual(payloads);
  expect(stored[2]).toMatchObject({
    key: 'käy',
    headers: {
      'x-ü': 'ß日',
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: numbered(2).eventId!,
      ce_type: 'order.created',
      ce_partitionkey: 'käy',
    },
  });
  expect(stored[3]).toMatchObject({
    key: 'order.created',
    headers: { 'content-type': expect.stringContaining('application/cloudevents+json') as string },
  });
  expect(JSON.parse(stored[3]!.value!)).toMatchObject({ id: numbered(5).eventId!, data: { n: 5 } });
});

test('fifty destinations on one cluster are one client, and topics are made only where declare says so', async () => {
  const connections = new Connections();
  const family = uniqueName('family');
  const declaring = (index: number) => lines(`${family}-${index}`, 'declare: { partitions: 2 }');
  const senders = Array.from({ length: 50 }, (_, index) => open('kafka', declaring(index), { connections }));
  expect(await look('kafka', lines(`${family}-7`))).toMatchObject([
    { level: 'fail', found: expect.stringContaining(`no topic ${family}-7`) as string },
  ]);
  const outcomes = await Promise.all(senders.map((sender) => sender.deliver()));
  expect(kindsOf(outcomes)).toEqual(['acknowledged']);
  expect(connections.size).toBe(1);
  expect(await look('kafka', lines(`${family}-7`))).toMatchObject([
    { level: 'ok', found: expect.stringContaining('is there: 2 partitions') as string },
  ]);
  await Promise.all(senders.map((sender) => sender.close()));
  expect(connections.size).toBe(0);
});

test('a probe asks the cluster without a message, and one that is away is unreachable', async () => {
  const { signal } = new AbortController();
  expect(await open('kafka', lines('x')).check!(signal)).toMatchObject({ kind: 'acknowledged' });
  const away = open('kafka', ["brokers: ['127.0.0.1:1']", 'topic: x']);
  expect(await away.check!(signal)).toMatchObject(failure('unreachable', 'connection-refused'));
  expect(await away.deliver()).toMatchObject(failure('unreachable', 'connection-refused', 'topic x'));
});

test('a wrong login and one without rights are the destination’s fault, and no message shows the password', async () => {
  const topic = await newTopic();
  const by = (username: string, password: string) =>
    open(
      'kafka',
      [
        `brokers: ['${kafka().sasl}']`,
        `topic: ${topic}`,
        `sasl: { mechanism: PLAIN, username: ${username}, password: env:PASS }`,
      ],
      { env: { PASS: password } },
    );
  const refused = await by('outbox', 'wrong-pass').deliver();
  expect(refused).toMatchObject({ permanent: false, ...failure('refused', 'access-refused') });
  expect(JSON.stringify(refused)).not.toContain('wrong-pass');
  expect(await by('stranger', 'right-pass').deliver()).toMatchObject({
    permanent: false,
    ...failure('refused', 'access-refused', 'AUTHORIZATION_FAILED'),
  });
  expect(await by('outbox', 'right-pass').deliver()).toMatchObject({ kind: 'acknowledged' });
});

test('TLS with certificates on both sides; without ours the broker refuses', async () => {
  const topic = await newTopic();
  const { theirs, ours, ourKey } = kafka().certificates;
  const by = (tls: string) =>
    open('kafka', [`brokers: ['${kafka().tls}']`, `topic: ${topic}`, `tls: ${tls}`], {
      env: { CA: theirs, CERT: ours, KEY: ourKey },
    });
  expect(await by('{ ca: env:CA, cert: env:CERT, key: env:KEY }').deliver()).toMatchObject({
    kind: 'acknowledged',
  });
  expect(await by('{ ca: env:CA }').deliver()).toMatchObject({ kind: 'unreachable' });
  expect(await by('{ cert: env:CERT, key: env:KEY }').deliver()).toMatchObject(
    failure('unreachable', 'tls-certificate'),
  );
});

test('its keys are checked, and explain shows what a sample event becomes', () => {
  const file = fileWith('kafka', [
    "brokers: ['kafka://kafka.test:9092', 'kafka.test']",
    "topic: 'a b'",
    "key: '{kee}'",
    'sasl: { mechanism: PLAIN, username: me }',
  ]);
  expect(problemsIn(file).map(({ key, message }) => `${key}: ${message}`)).toEqual([
    expect.stringContaining('destinations.stock.brokers[0]: expected host:port, without the scheme kafka://'),
    expect.stringContaining('destinations.stock.brokers[1]: expected host:port'),
    expect.stringContaining('destinations.stock.topic: expected the name of a topic'),
    expect.stringContaining('did you mean {key}?'),
    expect.stringContaining('destinations.stock.sasl.password: expected a value for PLAIN'),
  ]);
  const text = explained('kafka', ["brokers: ['${HOSTS}']", "topic: 'ledger.{type}'"], {
    HOSTS: 'one.test:9092,two.test:9092',
  });
  expect(text).toContain('one.test:9092, two.test:9092, topic ledger.{type}, key {key}');
  expect(text).toContain('goes to topic ledger.order.created under key customer-42');
});
