import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { contestants } from './contestants/index.mjs';

const waiting = 1_000_000;
const watchedSeconds = 30;

/** Resident memory of relay and worker while a million rows wait and are being drained. Linux only: read from /proc. */
export async function measureMemory(stage, { say }) {
  const player = await stage.launch(contestants[0], {
    databaseUrl: await stage.newDatabase(),
    receiverUrl: stage.receiverUrl,
  });
  for (let filled = 0; filled < waiting; filled += 100_000) {
    await player.tell({ fill: 100_000 }, 'filled');
    say(`memory: ${filled + 100_000} rows wait`);
  }
  await player.tell('begin', 'begun');
  let peakMb = 0;
  for (let second = 0; second < watchedSeconds * 4; second++) {
    await sleep(250);
    const rssKb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${player.pid}/status`, 'utf8'))?.[1]);
    peakMb = Math.max(peakMb, rssKb / 1024);
  }
  const { left } = await player.tell('left', 'left');
  await player.end();
  return [
    { 'rows waiting at the start': waiting, 'still waiting': left, 'peak resident MiB': Math.round(peakMb) },
  ];
}
