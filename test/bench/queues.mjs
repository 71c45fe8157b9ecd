import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { brokerNames, openBrokers, queueNames } from './brokers.mjs';
import { body } from './contestants/consumed.mjs';
import { median } from './figures.mjs';

/** Beyond what PostgreSQL's count costs. */
const lookMs = 25;

/**
 * To each broker: rows that wait are delivered and settled, beside a bare pipelined loop of the same client, and the drain over HTTP in
 * the same round. From each: messages with their effect in a transaction, with the inbox and by the bare client without it.
 *
 * @param only `rabbitmq`, `kafka`, …
 */
export async function measureQueues(stage, { only, events, rounds, say }) {
  const brokers = await openBrokers();
  const rates = new Map();
  const note = (broker, what, rate) => {
    const key = `${broker} ${what}`;
    rates.set(key, [...(rates.get(key) ?? []), rate]);
    say(`queues: ${key} ${Math.round(rate)}/s`);
  };
  try {
    for (const name of brokerNames.filter((each) => only?.includes(each) ?? true)) {
      const broker = await brokers.launch(name);
      try {
        for (let round = 1; round <= rounds; round++) {
          note(name, 'http', await drainOnce(stage, 'outbox.mjs', { batchMaximum: 2000 }, events));
          for (const [what, file] of drains) {
            const { settings: destination } = await broker.place({ ordered: false });
            const given = { destination, batchMaximum: 2000 };
            note(name, what, await drainOnce(stage, file, given, events));
          }
          // Its consumers come with the queues below.
          if (broker.transactional !== undefined) {
            for (const [what, rate] of await endToEnd(stage, broker)) note(name, what, rate);
            continue;
          }
          for (const bare of [false, true]) {
            const { settings: destination, from } = await broker.place({ ordered: false });
            const given = { destination, from, bare };
            note(name, bare ? 'bare consumer' : 'consumer', await consumeOnce(stage, given, events / 2));
          }
        }
      } finally {
        await broker.stop();
      }
    }
    for (const name of queueNames.filter((each) => only?.includes(each) ?? true)) {
      const server = await brokers.startQueues(name);
      try {
        for (let round = 1; round <= rounds; round++)
          for (const bare of [false, true])
            note(
              name,
              bare ? 'bare consumer' : 'consumer',
              await consumeFrom(stage, server, bare, events / 2),
            );
      } finally {
        await server.stop();
      }
    }
  } finally {
    await brokers.close();
  }
  return rowsOf(rates);
}

const drains = [
  ['drain', 'outbox.mjs'],
  ['bare loop', 'bareQueue.mjs'],
];

async function drainOnce(stage, file, settings, count) {
  const player = await stage.launch(
    { file },
    { databaseUrl: await stage.newDatabase(), receiverUrl: stage.receiverUrl, ...settings },
  );
  await player.tell({ fill: count }, 'filled');
  await player.tell('begin', 'begun');
  const left = async () => (await player.tell('left', 'left')).left;
  const rate = await rateOf(async () => count - (await left()), count);
  await player.end();
  return rate;
}

/** `fill`: where the player itself puts the messages there. */
async function consumeOnce(stage, settings, count, fill = true) {
  const player = await stage.launch(
    { file: 'consuming.mjs' },
    { databaseUrl: await stage.newDatabase(), ...settings },
  );
  if (fill) await player.tell({ fill: count }, 'filled');
  await player.tell('begin', 'begun');
  const rate = await rateOf(async () => (await player.tell('left', 'left')).left, count);
  await player.end();
  return rate;
}

async function consumeFrom(stage, server, bare, count) {
  const queue = await server.queue({ ordered: false });
  const bytes = Buffer.from(body);
  for (let done = 0; done < count; done += 1000)
    await queue.put(
      Array.from({ length: Math.min(1000, count - done) }, () => ({
        headers: { 'webhook-id': randomUUID() },
        key: null,
        contentType: 'application/json',
        body: bytes,
      })),
    );
  return consumeOnce(stage, { from: queue.from, bare }, count, false);
}

/**
 * Orders of fifty producers and their messages, until consumers could see the last: by RocketMQ's transactional messages, whose commit
 * says so, and through the outbox, where the broker has acknowledged it.
 */
async function endToEnd(stage, broker) {
  const load = { atOnce: 50, seconds: 5 };
  const { endpoints, topic } = await broker.transactional();
  const byBroker = await stage.launch(
    { file: 'rocketmqTransactions.mjs' },
    {
      ...{ producerDatabaseUrl: await stage.newDatabase(), rocketmqEndpoints: endpoints, topicName: topic },
      rocketmqModules: process.cwd(),
    },
  );
  await byBroker.tell({ produce: { ...load, seconds: 2 } }, 'produced');
  const { perSecond } = await byBroker.tell({ produce: load }, 'produced');
  await byBroker.end();
  const { settings: destination } = await broker.place({ ordered: false });
  const byOutbox = await stage.launch(
    { file: 'outboxToRocketmq.mjs' },
    { databaseUrl: await stage.newDatabase(), destination },
  );
  const settled = async () => {
    while ((await byOutbox.tell('left', 'left')).left > 0) await sleep(lookMs);
  };
  await byOutbox.tell({ produce: { ...load, seconds: 2 } }, 'produced');
  await settled();
  const startedAt = performance.now();
  const { messages } = await byOutbox.tell({ produce: load }, 'produced');
  await settled();
  const rate = messages / ((performance.now() - startedAt) / 1000);
  await byOutbox.end();
  return [
    ['transactions', perSecond],
    ['through the outbox', rate],
  ];
}

/** From the first that is seen done to the last. */
async function rateOf(readDone, count) {
  let first;
  for (let done = await readDone(); first === undefined; done = await readDone()) {
    if (done > 0) first = { done, at: performance.now() };
    else await sleep(2);
  }
  for (let done = first.done; done < count; done = await readDone()) await sleep(lookMs);
  return (count - first.done) / ((performance.now() - first.at) / 1000);
}

const whats = [
  ...['http', 'drain', 'bare loop', 'consumer', 'bare consumer'],
  ...['transactions', 'through the outbox'],
];

function rowsOf(rates) {
  const names = new Set([...rates.keys()].map((key) => key.split(' ')[0]));
  const of = (name, what) => {
    const measured = rates.get(`${name} ${what}`);
    return measured === undefined ? null : Math.round(median(measured));
  };
  const ratio = (one, other) => (one === null || other === null ? null : (one / other).toFixed(2));
  return [...names].map((broker) => {
    const figures = Object.fromEntries(whats.map((what) => [what, of(broker, what)]));
    return {
      broker,
      'HTTP drain/s': figures.http,
      'drain/s': figures.drain,
      'bare loop/s': figures['bare loop'],
      'drain to bare loop': ratio(figures.drain, figures['bare loop']),
      'consumer/s': figures.consumer,
      'bare consumer/s': figures['bare consumer'],
      'consumer to bare': ratio(figures.consumer, figures['bare consumer']),
      'orders by transactional messages/s': figures.transactions,
      'orders through the outbox/s': figures['through the outbox'],
    };
  });
}
