import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from './figures.mjs';

const perSecond = 100;
const seconds = 15;

/** At a steady 100 events/s: milliseconds from the producer's commit (its insert, auto-committed, about to return) to the receipt. */
export async function measureLatency(stage, contestants, { say }) {
  const rows = [];
  for (const contestant of contestants.filter(({ drainOnly }) => drainOnly !== true)) {
    const player = await stage.launch(contestant, {
      databaseUrl: await stage.newDatabase(),
      receiverUrl: stage.receiverUrl,
    });
    await player.tell('begin', 'begun');
    await steadily(player, 2);
    await stage.received(true);
    await steadily(player, seconds);
    await sleep(1500);
    const { times } = await stage.received(true);
    await player.end();
    const row = { contestant: contestant.name, events: times.length };
    for (const [name, share] of [
      ['p50 ms', 0.5],
      ['p95 ms', 0.95],
      ['p99 ms', 0.99],
    ])
      row[name] = Number(quantile(times, share).toFixed(1));
    say(`latency: ${JSON.stringify(row)}`);
    rows.push(row);
  }
  return rows;
}

/** Inserts by the clock, whatever the answers take: a slow system must not slow its own load down. */
async function steadily(player, forSeconds) {
  const startedAt = performance.now();
  for (let index = 0; index < forSeconds * perSecond; index++) {
    const waitMs = startedAt + (index * 1000) / perSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const at = (performance.timeOrigin + performance.now()).toFixed(3);
    void player.tell({ insert: `{"at": ${at}}` }, 'inserted');
  }
}
