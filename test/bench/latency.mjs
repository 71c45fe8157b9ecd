import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpus } from 'node:os';
import { quantile } from './figures.mjs';
import { steadily } from './steadily.mjs';

/**
 * At steady rates (events a second): milliseconds from the producer's commit (its insert, auto-committed, about to return) to the receipt, and
 * how many workflows were started for it. `load`: beside as many busy loops as there are cores.
 */
export async function measureLatency(stage, contestants, { rates, seconds, load, say }) {
  const rows = [];
  for (const perSecond of rates) {
    for (const contestant of contestants.filter(({ drainOnly }) => drainOnly !== true)) {
      const player = await stage.launch(contestant, {
        databaseUrl: await stage.newDatabase(),
        receiverUrl: stage.receiverUrl,
      });
      await player.tell('begin', 'begun');
      const busy = load ? cpus().map(() => spawn(process.execPath, ['-e', 'for (;;);'])) : [];
      await steadily(player, perSecond, 2);
      await stage.received(true);
      const before = await stage.workflows();
      await steadily(player, perSecond, seconds);
      await sleep(3000);
      const { times } = await stage.received(true);
      const workflows = (await stage.workflows()) - before;
      for (const loop of busy) loop.kill('SIGKILL');
      await player.end();
      const row = { contestant: contestant.name, 'events/s': perSecond, events: times.length, workflows };
      for (const [name, share] of [
        ['p50 ms', 0.5],
        ['p95 ms', 0.95],
        ['p99 ms', 0.99],
      ])
        row[name] = Number(quantile(times, share).toFixed(1));
      say(`latency: ${JSON.stringify(row)}`);
      rows.push(row);
    }
  }
  return rows;
}
