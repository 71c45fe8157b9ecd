import { halfMessageContestants } from './contestants/index.mjs';
import { cpuMsOf } from './cpu.mjs';
import { median } from './figures.mjs';
import { fetchRocketmq, rocketmqModules, startRocketmq, whyNoRocketmq } from './rocketmq.mjs';

const levels = [1, 50, 100];
/** A JVM is slow at first. */
const warmUp = { atOnce: 50, seconds: 5 };

/**
 * An order in the producer's own PostgreSQL and a message that counts if, and only if, the order does: how many a second, how
 * long each takes from its begin to its last answer, and how much of that is prepare, local transaction and commit.
 *
 * Nobody receives: deliveries wait in the outbox, messages in the broker.
 */
export async function measureHalfMessages(stage, { only, rounds, seconds, say }) {
  const chosen = halfMessageContestants.filter(({ name }) => only === undefined || only.includes(name));
  const lacking = chosen.some(({ rocketmq }) => rocketmq !== undefined) ? whyNoRocketmq() : null;
  if (lacking !== null) say(`RocketMQ is left out: ${lacking}`);
  const contestants = chosen.filter(({ rocketmq }) => rocketmq === undefined || lacking === null);
  const brokers = [];
  const players = [];
  try {
    for (const contestant of contestants) players.push(await enter(stage, contestant, brokers, say));
    for (const { player } of players) await player.tell({ produce: warmUp }, 'produced');
    const rows = await playRounds(players, { rounds, seconds, say });
    for (const { player, broker } of players) {
      const { orders, messages } = await player.tell('count', 'counted');
      assertEqualCounts(orders, messages ?? (await broker.countMessages()));
    }
    return rows;
  } finally {
    await Promise.all(players.map(({ player }) => player.end()));
    await Promise.all(brokers.map((broker) => broker.stop()));
  }
}

async function enter(stage, contestant, brokers, say) {
  let broker;
  const servers = [stage.postgresPid];
  if (contestant.rocketmq !== undefined) {
    await fetchRocketmq(say);
    broker = await startRocketmq(contestant.rocketmq, say);
    brokers.push(broker);
    servers.push(broker.pid);
  }
  const player = await stage.launch(contestant, {
    databaseUrl: await stage.newDatabase(),
    producerDatabaseUrl: await stage.newDatabase(),
    rocketmqEndpoints: broker?.endpoints,
    rocketmqModules,
  });
  return { name: contestant.name, player, servers, broker };
}

async function playRounds(players, { rounds, seconds, say }) {
  const rows = [];
  for (const atOnce of levels) {
    const results = new Map(players.map(({ name }) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      for (const { name, ...parts } of players) {
        const result = await play(parts, { atOnce, seconds });
        results.get(name).push(result);
        say(
          `half-messages, ${atOnce} at once, round ${round} of ${rounds}: ${name} ${Math.round(result.perSecond)}/s`,
        );
      }
    }
    const reference = median(results.get(players[0].name).map(({ perSecond }) => perSecond));
    for (const { name } of players) rows.push(rowOf(name, atOnce, results.get(name), reference));
  }
  return rows;
}

/** CPU: milliseconds a message, of the producer's process and of all servers it used. */
async function play({ player, servers }, load) {
  const readCpu = () => [player.pid, ...servers].map(cpuMsOf);
  const before = readCpu();
  const result = await player.tell({ produce: load }, 'produced');
  const [ofProducer, ...ofServers] = readCpu().map(
    (after, index) => (after - before[index]) / result.messages,
  );
  return { ...result, cpu: { producer: ofProducer, servers: ofServers.reduce((sum, each) => sum + each) } };
}

function rowOf(contestant, atOnce, results, reference) {
  const of = (pick) => median(results.map(pick));
  const rates = results.map(({ perSecond }) => perSecond);
  const ms = (value) => Number(value.toFixed(1));
  return {
    contestant,
    'at once': atOnce,
    'per s (median)': Math.round(median(rates)),
    min: Math.round(Math.min(...rates)),
    max: Math.round(Math.max(...rates)),
    'p50 ms': ms(of(({ p50 }) => p50)),
    'p99 ms': ms(of(({ p99 }) => p99)),
    // Medians of each step: prepare, local transaction, commit.
    'prepare ms': ms(of(({ steps }) => steps.prepare)),
    'local ms': ms(of(({ steps }) => steps.local)),
    'commit ms': ms(of(({ steps }) => steps.commit)),
    'CPU ms, producer': Number(of(({ cpu }) => cpu.producer).toFixed(2)),
    'CPU ms, servers': Number(of(({ cpu }) => cpu.servers).toFixed(2)),
    ratio: (median(rates) / reference).toFixed(2),
  };
}

/** What was measured has to be what was promised: as many messages as orders. */
function assertEqualCounts(orders, messages) {
  if (orders !== messages) throw new Error(`${orders} orders, but ${messages} messages`);
}
