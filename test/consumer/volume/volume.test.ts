/**
 * Messages by the thousand from each queue, while everything is killed: each effect once by a count of rows that nothing keeps unique, nothing
 * left unacknowledged, and poison parked with its cause. OUTBOX_TEST_VOLUME=kafka,nats runs it by hand over these.
 */
import { expect, test } from 'vitest';
import type { ConsumerServer } from '../../../src/testing/consumers/index.ts';
import { atEnd } from '../../support/cleanup.ts';
import { onlyWithEverything } from '../../support/everything.ts';
import { eventually, requires } from '../../support/index.ts';
import { requireJars } from '../../support/brokers/jars.ts';
import { startElasticmq } from '../servers/elasticmq.ts';
import { startKafka } from '../servers/kafka.ts';
import { startNats } from '../servers/nats.ts';
import { startRabbitmq } from '../servers/rabbitmq.ts';
import { startRedis } from '../servers/redis.ts';
import { startRocketmq } from '../servers/rocketmq.ts';
import { VolumePlay, type Poison } from './play.ts';

interface Broker {
  readonly start: () => Promise<ConsumerServer>;
  readonly require: () => unknown;
}

const brokers: Readonly<Record<string, Broker>> = {
  rabbitmq: { start: startRabbitmq, require: () => requires.program('rabbitmq-server') },
  kafka: { start: startKafka, require: () => requireJars('kafka') },
  nats: { start: startNats, require: () => requires.program('nats-server') },
  sqs: { start: startElasticmq, require: () => requireJars('elasticmq') },
  redis: { start: startRedis, require: () => requires.program('redis-server') },
  rocketmq: { start: startRocketmq, require: () => requireJars('rocketmq') },
};

const count = 20_000;
const kills = 10;
const restartAt = 4;
const brokerKillAt = 7;

const chosen = process.env['OUTBOX_TEST_VOLUME'];
const names = chosen?.split(',') ?? Object.keys(brokers);

/** Twenty are refused, ten always fail, and one ends its process. */
function poisonous(): ReadonlyMap<number, Poison> {
  const step = count / 20;
  return new Map<number, Poison>([
    ...Array.from({ length: 20 }, (_, n) => [n * step + Math.floor(step / 2), 'refused'] as const),
    ...Array.from({ length: 10 }, (_, n) => [n * 2 * step + Math.floor(step / 4), 'fails'] as const),
    [3 * step, 'dies'],
  ]);
}

test.for(names)(
  `from %s ${count} messages have their effect once each, with ${kills} consumers killed, the database restarted and the broker killed`,
  { timeout: 900_000 },
  async (name, context) => {
    if (chosen === undefined) onlyWithEverything(context, 'servers of its own');
    const { start, require } = brokers[name]!;
    require();
    const startedMs = Date.now();
    const poison = poisonous();
    const server = await start();
    atEnd(() => server.stop());
    const queue = await server.queue({ ordered: false });
    const play = await VolumePlay.open(queue);
    await play.put(count, poison);
    const beganMs = Date.now();

    const share = Math.floor(count / (kills + 2));
    for (let kill = 1; kill <= kills; kill++) {
      await play.consumeUntil(kill * share);
      if (kill === restartAt) await play.restartDatabase();
      if (kill === brokerKillAt) {
        await server.kill?.();
        await server.restart?.();
      }
      await play.kill();
    }
    await play.consumeUntil(count - poison.size, poison.size);
    const doneMs = Date.now();

    await eventually(async () => expect(await queue.left()).toBe(0), { timeout: 60_000, interval: 500 });
    expect(
      await play.one('select count(*)::int as effects, count(distinct n)::int as messages from effects'),
    ).toEqual({ effects: count - poison.size, messages: count - poison.size });
    expect(
      await play.rows(
        'select reason, count(*)::int as number, min(last_error) as error from outbox_inbox.parked group by reason order by reason',
      ),
    ).toEqual([
      {
        reason: 'attempts-exhausted',
        number: 10,
        error: expect.stringContaining('it never works') as string,
      },
      { reason: 'process-died', number: 1, error: expect.stringContaining('2 processes ended') as string },
      { reason: 'refused', number: 20, error: expect.stringContaining('not in this world') as string },
    ]);
    const bodies = await play.rows('select body from outbox_inbox.parked');
    const parked = bodies.map(({ body }) => JSON.parse(String(body)) as { n: number; poison: Poison });
    expect(new Map(parked.map((each) => [each.n, each.poison]))).toEqual(poison);
    expect(play.deaths).toBe(2);
    console.log(
      `${name}: ${count} messages in ${seconds(doneMs - beganMs)}, all in all ${seconds(Date.now() - startedMs)}`,
    );
  },
);

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(0)} s`;
