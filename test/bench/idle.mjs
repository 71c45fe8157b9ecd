import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMsOf } from './cpu.mjs';
import { median } from './figures.mjs';

/** After the start: what is made once is made by then. */
const settleMs = 20_000;
const watchedMs = 20_000;

/** What it costs while nothing happens, by the number of destinations, in turns: percent of a core of each process. */
export async function measureIdle(stage, ours, { destinations, rounds, say }) {
  const used = new Map(destinations.map((count) => [count, []]));
  for (let round = 1; round <= rounds; round++)
    for (const count of destinations) {
      const shares = await idleOnce(stage, ours, count);
      used.get(count).push(shares);
      say(`idle, round ${round} of ${rounds}: ${count} destinations ${JSON.stringify(shares)}`);
    }
  return destinations.map((count) => ({
    destinations: count,
    ...Object.fromEntries(
      ['run', 'PostgreSQL', 'Temporal', 'run + PostgreSQL'].map((who) => [
        `${who}, % of a core`,
        Number(median(used.get(count).map((shares) => shares[who])).toFixed(1)),
      ]),
    ),
  }));
}

async function idleOnce(stage, ours, count) {
  const player = await stage.launch(ours, {
    databaseUrl: await stage.newDatabase(),
    receiverUrl: stage.receiverUrl,
    // The receiver itself is one.
    destinations: Array.from({ length: count - 1 }, (_, n) => [`d${n}`, `${stage.receiverUrl}d${n}`]),
  });
  await player.tell('begin', 'begun');
  await sleep(settleMs);
  const pids = { run: player.pid, PostgreSQL: stage.postgresPid, Temporal: stage.temporalPid };
  const before = Object.entries(pids).map(([who, pid]) => [who, cpuMsOf(pid)]);
  const from = performance.now();
  await sleep(watchedMs);
  const ms = performance.now() - from;
  const shares = Object.fromEntries(
    before.map(([who, was]) => [who, ((cpuMsOf(pids[who]) - was) / ms) * 100]),
  );
  await player.end();
  return { ...shares, 'run + PostgreSQL': shares.run + shares.PostgreSQL };
}
