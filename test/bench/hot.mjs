import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMsOf } from './cpu.mjs';
import { median } from './figures.mjs';
import { hinder } from './hinder.mjs';

/** Of a core, for each process: on a machine of two cores one process of full speed leaves nothing for a second. */
const share = 0.3;

/**
 * One destination that is more than a process can send: how much faster do two and three processes drain it? Each is stopped and let go
 * again and again, so that it has no more than its share of a core.
 */
export async function measureHot(stage, contestant, { events, rounds, say }) {
  const rows = [];
  for (const processes of [1, 2, 3]) {
    const rates = [];
    let shares = '';
    for (let round = 1; round <= rounds; round++) {
      const done = await drainBy(stage, contestant, processes, events);
      rates.push(done.rate);
      shares = done.cpu.map((ms) => Math.round((100 * ms) / done.ms)).join(', ');
      say(`hot, round ${round} of ${rounds}: ${processes} processes, ${Math.round(done.rate)}/s`);
    }
    rows.push({
      processes,
      events,
      'events/s (median)': Math.round(median(rates)),
      'CPU of each, %': shares,
      'ratio to one': (median(rates) / (rows[0]?.['events/s (median)'] ?? median(rates))).toFixed(2),
    });
  }
  return rows;
}

async function drainBy(stage, contestant, processes, events) {
  const databaseUrl = await stage.newDatabase();
  // A process that is stopped for most of the time is long in seeing an answer: fifty requests at once would be the limit, not its share.
  const destination = { type: 'http', url: stage.receiverUrl, concurrency: 400 };
  const player = await stage.launch(contestant, { databaseUrl, destination });
  await player.tell({ fill: events }, 'filled');
  await stage.received(true);
  const runs = Array.from({ length: processes }, () => stage.runCommand(databaseUrl));
  const stops = runs.map(({ pid }) => hinder(pid, share));
  try {
    // The first seconds are those of one process in any case: the others are asked for help once it is seen to be full.
    const from = events / 4;
    while ((await stage.received()).count < from) await sleep(20);
    const startedAt = performance.now();
    const cpuBefore = runs.map(({ pid }) => cpuMsOf(pid));
    while ((await stage.received()).count < events) await sleep(20);
    const ms = performance.now() - startedAt;
    const cpu = runs.map(({ pid }, index) => cpuMsOf(pid) - cpuBefore[index]);
    while ((await player.tell('left', 'left')).left > 0) await sleep(20);
    return { rate: ((events - from) * 1000) / ms, cpu, ms };
  } finally {
    for (const stop of stops) stop();
    await Promise.all(runs.map((run) => run.end()));
    await player.end();
  }
}
