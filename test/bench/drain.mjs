import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMsOf, peakMbOf } from './cpu.mjs';
import { median } from './figures.mjs';

/**
 * Rows wait; how many a second are delivered and settled, from the first receipt to the last settled row? And what does one cost, in
 * CPU time of each process, from before the start: that says more than rates do where others use the machine.
 */
export async function measureDrain(stage, contestants, { events, rounds, say }) {
  const rates = new Map(contestants.map(({ name }) => [name, []]));
  const costs = new Map(contestants.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of contestants) {
      const count = Math.round(events * (contestant.eventsShare ?? 1));
      const { rate, cost } = await drainOnce(stage, contestant, count);
      rates.get(contestant.name).push(rate);
      costs.get(contestant.name).push(cost);
      say(`drain, round ${round} of ${rounds}: ${contestant.name} ${Math.round(rate)}/s (${count} events)`);
    }
  }
  const reference = rates.get(contestants[0].name);
  return contestants.map(({ name }) => ({
    contestant: name,
    'events/s (median)': Math.round(median(rates.get(name))),
    min: Math.round(Math.min(...rates.get(name))),
    max: Math.round(Math.max(...rates.get(name))),
    [`ratio to ${contestants[0].name}`]: median(
      rates.get(name).map((rate, round) => rate / reference[round]),
    ).toFixed(2),
    ...medianCost(costs.get(name)),
  }));
}

function medianCost(costs) {
  return Object.fromEntries(
    Object.keys(costs[0]).map((who) => [`µs of ${who}`, Math.round(median(costs.map((cost) => cost[who])))]),
  );
}

function cpuNow({ postgresPid, temporalPid, receiverPid }, player) {
  return {
    worker: cpuMsOf(player.pid),
    PostgreSQL: cpuMsOf(postgresPid),
    Temporal: cpuMsOf(temporalPid),
    receiver: cpuMsOf(receiverPid),
  };
}

/** `peakMb`: of the contestant's process, resident; NaN where /proc does not tell. */
export async function drainOnce(stage, contestant, count, payloadBytes) {
  const player = await stage.launch(contestant, {
    databaseUrl: await stage.newDatabase(),
    receiverUrl: stage.receiverUrl,
    payloadBytes,
  });
  await player.tell({ fill: count }, 'filled');
  await stage.received(true);
  const before = cpuNow(stage, player);
  await player.tell('begin', 'begun');
  while ((await stage.received()).count === 0) await sleep(2);
  const startedAt = performance.now();
  while ((await stage.received()).count < count) await sleep(10);
  while ((await player.tell('left', 'left')).left > 0) await sleep(5);
  const seconds = (performance.now() - startedAt) / 1000;
  const after = cpuNow(stage, player);
  const peakMb = peakMbOf(player.pid);
  await player.end();
  const cost = Object.fromEntries(
    Object.entries(after).map(([who, ms]) => [who, ((ms - before[who]) * 1000) / count]),
  );
  return { rate: count / seconds, cost, peakMb };
}
