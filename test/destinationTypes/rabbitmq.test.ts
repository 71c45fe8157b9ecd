/** type: rabbitmq against a real server. */
import { connect, type Channel } from 'amqplib';
import pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { explainConfig } from '../../src/config/explain.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { OutgoingMessage, Sender } from '../../src/core/outcome.ts';
import { inspectDestinations } from '../../src/cli/doctor/destinations.ts';
import { builtInTypes } from '../../src/destination/registry.ts';
import { createSender } from '../../src/destination/senders.ts';
import { Connections } from '../../src/destination/shared/connections.ts';
import { message } from '../destination/support/fixtures.ts';
import { isInstalled, startRabbitmq, type TestRabbitmq } from '../support/brokers/rabbitmq.ts';
import { atEnd, eventually, requires, spawnRun, uniqueName } from '../support/index.ts';
import { everything } from '../support/everything.ts';
import { leaveBrokersToEverything } from '../support/requires.ts';
import { folderWith } from '../cli/commands.ts';
import { problemsIn } from './support.ts';

const { signal } = new AbortController();
let server: TestRabbitmq | undefined;

beforeAll(async () => {
  if (everything && isInstalled()) server = await startRabbitmq();
}, 120_000);

function rabbitmq(): TestRabbitmq {
  leaveBrokersToEverything();
  requires.program('rabbitmq-server');
  return server!;
}

const fileWith = (...lines: string[]): string =>
  [
    'destinations:',
    '  stock:',
    '    type: rabbitmq',
    '    url: env:RABBIT_URL',
    ...lines.map((line) => `    ${line}`),
    'routes: []',
  ].join('\n');

const configOf = (url: string, lines: readonly string[]) =>
  parseConfig(fileWith(...lines), { env: { RABBIT_URL: url } }).config;

function open(url: string, lines: readonly string[], connections = new Connections()): Sender {
  const [destination] = configOf(url, lines).destinations;
  const sender = createSender(destination!, { env: { RABBIT_URL: url }, connections });
  atEnd(() => sender.close());
  return sender;
}

const numbered = (number: number, changes: Partial<OutgoingMessage> = {}): OutgoingMessage =>
  message({
    eventId: `0192f0c1-2345-7890-abcd-${String(number).padStart(12, '0')}`,
    payload: `{"n": ${number}}`,
    ...changes,
  });

const quorum = (queue: string): string[] => [
  "exchange: ''",
  `routingKey: ${queue}`,
  'declare: { queue: quorum }',
];

/** Payloads in the order of the queue, by a client of its own. */
async function readBack(url: string, queue: string, most = 10_000): Promise<{ id: string; body: string }[]> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  const channel = await connection.createChannel();
  const read: { id: string; body: string }[] = [];
  while (read.length < most) {
    const found = await channel.get(queue, { noAck: true });
    if (found === false) break;
    read.push({ id: String(found.properties.messageId), body: found.content.toString() });
  }
  await connection.close();
  return read;
}

test('what is acknowledged survives a server that is killed with -9 at once, in order and under its ids', async () => {
  const { url, kill9, start, syncDefinitions } = rabbitmq();
  const queue = uniqueName('killed');
  await onServer(url, (channel) => channel.assertQueue(queue, { durable: true }));
  // The promise tried here is about messages; their queue has long been there.
  await syncDefinitions();
  const sender = open(url, ["exchange: ''", `routingKey: ${queue}`, 'declare: { queue: classic }']);
  const outcomes = await Promise.all(
    Array.from({ length: 500 }, (_, number) => sender.send(numbered(number), signal)),
  );
  await kill9();
  expect(outcomes.every(({ kind }) => kind === 'acknowledged')).toBe(true);
  expect(outcomes[0]).toMatchObject({ status: null });
  expect(await sender.send(numbered(500), signal)).toMatchObject({ kind: 'unreachable' });
  await start();
  expect((await readBack(url, queue)).map(({ body }) => body)).toEqual(
    Array.from({ length: 500 }, (_, number) => `{"n": ${number}}`),
  );
  // The same sender connects again by itself.
  expect(await sender.send(numbered(501), signal)).toMatchObject({ kind: 'acknowledged' });
  expect(await readBack(url, queue)).toEqual([{ id: numbered(501).eventId, body: '{"n": 501}' }]);
});

test('nobody takes it, no such exchange, too large, too long: refused, each in words', async () => {
  const { url } = rabbitmq();
  const topic = open(url, ['exchange: amq.topic']);
  expect(await topic.send(message(), signal)).toMatchObject({
    ...{ kind: 'refused', permanent: true, errorClass: 'unroutable', status: null },
    message: expect.stringContaining('exchange amq.topic: NO_ROUTE (routing key order.created)') as string,
  });
  expect(await topic.send(message({ headers: { long: 'x'.repeat(70_000) } }), signal)).toMatchObject({
    ...{ kind: 'refused', permanent: true, errorClass: 'too-large' },
    message: expect.stringContaining('65536 bytes') as string,
  });
  expect(await topic.send(message({ type: 'x'.repeat(300) }), signal)).toMatchObject({
    ...{ kind: 'refused', permanent: true, errorClass: 'invalid-message' },
  });
  const lost = open(url, ['exchange: nowhere']);
  for (let time = 0; time < 2; time++)
    expect(await lost.send(message(), signal)).toMatchObject({
      ...{ kind: 'refused', permanent: false, errorClass: 'unknown-target' },
      message: expect.stringContaining("no exchange 'nowhere'") as string,
    });
});

test('a wrong login is the destination’s fault, and no message shows the password', async () => {
  const { port } = rabbitmq();
  const outcome = await open(`amqp://guest:wrong-pass@127.0.0.1:${port}`, quorum('any')).send(
    message(),
    signal,
  );
  expect(outcome).toMatchObject({ kind: 'refused', permanent: false, errorClass: 'access-refused' });
  expect(JSON.stringify(outcome)).not.toContain('wrong-pass');
});

test('fifty destinations on one server are one connection, closed with the last of them', async () => {
  const { url } = rabbitmq();
  const connections = new Connections();
  const senders = Array.from({ length: 50 }, (_, index) => open(url, quorum(`shared-${index}`), connections));
  const outcomes = await Promise.all(senders.map((sender) => sender.send(message(), signal)));
  expect(outcomes.every(({ kind }) => kind === 'acknowledged')).toBe(true);
  expect(connections.size).toBe(1);
  await Promise.all(senders.map((sender) => sender.close()));
  expect(connections.size).toBe(0);
});

test('a full queue that rejects publishes costs no attempt, and takes messages again once there is room', async () => {
  const { url } = rabbitmq();
  const queue = uniqueName('full');
  await onServer(url, (channel) =>
    channel.assertQueue(queue, { arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } }),
  );
  const sender = open(url, ["exchange: ''", `routingKey: ${queue}`]);
  expect(await sender.send(numbered(1), signal)).toMatchObject({ kind: 'acknowledged' });
  expect(await sender.send(numbered(2), signal)).toMatchObject({
    ...{ kind: 'unreachable', errorClass: 'not-ready' },
    message: expect.stringContaining('not stored by every queue (nack)') as string,
  });
  expect(await readBack(url, queue)).toMatchObject([{ id: numbered(1).eventId }]);
  expect(await sender.send(numbered(2), signal)).toMatchObject({ kind: 'acknowledged' });
});

test(
  'dev with a wrong exchange name says so in words, and the event arrives once the exchange is there',
  { timeout: 180_000 },
  async () => {
    const { url } = rabbitmq();
    const exchange = uniqueName('orders');
    const text = fileWith(`exchange: ${exchange}`, 'retry: { initialInterval: 300ms, maximumInterval: 1s }');
    const cwd = await folderWith({
      'outbox.yaml': text.replace('routes: []', "routes: [{ match: '*', to: [stock] }]"),
    });
    const dev = spawnRun({ databaseUrl: '', args: ['dev', '--json'], cwd, env: { RABBIT_URL: url } });
    const { databaseUrl } = await eventually(
      () => JSON.parse(dev.stdout().split('\n')[0] ?? '') as { databaseUrl: string },
      { timeout: 90_000 },
    );
    await eventually(() =>
      expect(dev.stderr()).toContain(`there is no exchange ${exchange}. Correct the name`),
    );
    const client = new pg.Client(databaseUrl);
    await client.connect();
    atEnd(() => client.end());
    const { rows } = await client.query<{ id: string }>(
      `insert into outbox.events (type, payload) values ('order.created', '{"n": 1}') returning id`,
    );
    await eventually(async () => {
      const attempts = await client.query('select error_class, message from outbox.attempts limit 1');
      expect(attempts.rows).toMatchObject([
        {
          error_class: 'unknown-target',
          message: expect.stringContaining(`no exchange '${exchange}'`) as string,
        },
      ]);
    });
    const queue = uniqueName('queue');
    await onServer(url, async (channel) => {
      await channel.assertExchange(exchange, 'topic');
      await channel.assertQueue(queue);
      await channel.bindQueue(queue, exchange, '#');
    });
    await eventually(async () => expect(await readBack(url, queue)).toMatchObject([{ id: rows[0]?.id }]), {
      timeout: 60_000,
      interval: 500,
    });
    await client.end();
    await dev.kill('SIGTERM');
  },
);

async function onServer(url: string, work: (channel: Channel) => Promise<unknown>): Promise<void> {
  const connection = await connect(url);
  await work(await connection.createChannel());
  await connection.close();
}

test('config check --online and doctor say whether exchange or queue is there', async () => {
  const { url } = rabbitmq();
  const look = (...lines: string[]) =>
    inspectDestinations(configOf(url, lines).destinations, builtInTypes, { RABBIT_URL: url });
  expect(await look('exchange: amq.topic')).toMatchObject([{ level: 'ok', destination: 'stock' }]);
  expect(await look('exchange: wrnog')).toMatchObject([
    { level: 'fail', found: expect.stringContaining('there is no exchange wrnog') as string },
  ]);
  expect(await look("exchange: ''", 'routingKey: no-such-queue')).toMatchObject([
    { level: 'fail', found: expect.stringContaining('there is no queue no-such-queue') as string },
  ]);
});

test('an event of 1 MiB, an empty one and non-ASCII keys and headers arrive as they are', async () => {
  const { url } = rabbitmq();
  const queue = uniqueName('shapes');
  const sender = open(url, [...quorum(queue), 'cloudEvents: binary']);
  const payloads = [`"${'x'.repeat(1024 * 1024 - 2)}"`, '""', '{"ä": "日本"}'];
  for (const payload of payloads)
    expect(
      await sender.send(message({ payload, key: 'käy', headers: { 'x-ü': 'ß' } }), signal),
    ).toMatchObject({
      kind: 'acknowledged',
    });
  expect((await readBack(url, queue)).map(({ body }) => body)).toEqual(payloads);
});

test('its keys are checked, and explain shows what a sample event becomes', () => {
  const env = { RABBIT_URL: 'http://rabbit.test' };
  expect(
    problemsIn(
      fileWith('exchnage: orders', "exchange: ''", "routingKey: '{kee}'", 'declare: { queue: quorum }'),
      [],
      env,
    ),
  ).toMatchObject([
    { key: 'destinations.stock.url', message: expect.stringContaining('amqp://host') as string },
    { key: 'destinations.stock.exchnage', message: 'unknown key; did you mean exchange?' },
    {
      key: 'destinations.stock.routingKey',
      message: expect.stringContaining('did you mean {key}?') as string,
    },
  ]);
  const { text } = explainConfig(configOf('amqp://guest:s3cr3t@rabbit.test/vhost', ['exchange: orders']), {
    RABBIT_URL: 'amqp://guest:s3cr3t@rabbit.test/vhost',
  });
  expect(text).toContain('amqp://rabbit.test/vhost, exchange orders, routing key {type}');
  expect(text).toContain('goes by routing key order.created');
  expect(text).not.toContain('s3cr3t');
});
